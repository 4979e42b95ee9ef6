package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// workload is one row of the table.
type workload struct {
	name     string
	goal     float64 // the largest ratio of the service's CPU to the bare handler's; 0 is no goal
	settings []string
	register [][]byte // requests to send once, before all others
	requests [][]byte
	answer   string // names the file in testdata with the answer under hotID
	ids      ids
	trace    bool
	redis    bool
	https    bool // authentik's address is https
	restart  bool // each round has a new process with an empty memory: a fifth of the rounds, each 12.5 times as long
}

//go:embed testdata/*.json testdata/*.graphql
var testdata embed.FS

const (
	smallDocument = `query($id: ID!) { authorizationCode(id: $id) { id isExpired expires scope } }`
	// ownDocument is what an ordinary user asks for who may not view providers: the client id is in the token.
	ownDocument = `query($id: ID!) { accessToken(id: $id) { id provider { clientId } } }`
	// fetchedAt is the only part in which two answers about the same id differ. It ends them.
	fetchedAt = `"fetchedAt":"`
	tailSize  = len(`2006-01-02T15:04:05.999999999Z"}}}` + "\n")
)

// workloads returns the rows of the table.
func workloads(o options) []workload {
	query := func(document string, headers ...string) [][]byte {
		return [][]byte{post(map[string]any{"query": document, "variables": variables}, headers...)}
	}
	text, _ := testdata.ReadFile("testdata/full.graphql")
	full := string(text)
	persisted := map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": fmt.Sprintf("%x", sha256.Sum256([]byte(full)))}}
	list, _ := testdata.ReadFile("testdata/list.graphql")
	var documents [][]byte
	for i := range o.documents {
		documents = append(documents, query(strings.Replace(full, "EveryField", fmt.Sprintf("EveryField%d", i), 1))...)
	}
	one, zipf, fresh := ids{N: 1}, ids{N: o.ids, Zipf: true}, ids{}
	ample := []string{"CACHE_MEMORY=512MiB"}
	return []workload{
		{name: "hot id, full query", goal: 1.5, requests: query(full), answer: "full", ids: one},
		{name: "hot id, full query, LOG_LEVEL=warn", goal: 1.4, requests: query(full), answer: "full", ids: one, settings: []string{"LOG_LEVEL=warn"}},
		{name: "hot id, small query", goal: 1.5, requests: query(smallDocument), answer: "small", ids: one},
		{name: "hot id, full query, each traced", goal: 1.5, answer: "full", ids: one, trace: true,
			requests: query(full, "traceparent: 00-"+traceSlot+traceSlot+"-"+traceSlot+"-01", "X-Request-ID: bench-"+traceSlot)},
		{name: "hot id, full query by its hash", goal: 1.5, answer: "full", ids: one,
			register: [][]byte{post(map[string]any{"query": full, "variables": variables, "extensions": persisted})},
			requests: [][]byte{post(map[string]any{"variables": variables, "extensions": persisted})}},
		{name: "hot id, owner without permission, provider { clientId }", goal: 1.5, requests: query(ownDocument), answer: "own", ids: one},
		{name: "Zipf, in memory", goal: 3, requests: query(full), answer: "full", ids: zipf, settings: ample},
		{name: "Zipf, in Redis, after a start", goal: 6, requests: query(full), answer: "full", ids: zipf, settings: ample, redis: true, restart: true},
		{name: "new ids", goal: 12, requests: query(full), answer: "full", ids: fresh},
		{name: "new ids, with Redis", goal: 16, requests: query(full), answer: "full", ids: fresh, redis: true},
		{name: "new ids, over https", requests: query(full), answer: "full", ids: fresh, https: true},
		{name: "hot list of 20", goal: 1.5, requests: [][]byte{post(map[string]any{"query": string(list)})}, answer: "list", ids: one},
		{name: strconv.Itoa(o.documents) + " documents, hot id, full", requests: documents, answer: "full", ids: one},
	}
}

var variables = map[string]any{"id": strconv.Itoa(hotID)}

// post makes the bytes of a request.
func post(body any, headers ...string) []byte {
	content, err := json.Marshal(body)
	if err != nil {
		panic(err) // the body is ours
	}
	var b bytes.Buffer
	b.WriteString("POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer bench-token\r\nContent-Type: application/json\r\n")
	for _, header := range headers {
		b.WriteString(header + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(content), content)
	return b.Bytes()
}

// answer is a response of the service.
type answer struct {
	Header http.Header
	Body   []byte
}

// probe sends the requests to register and then one request, and checks its answer in full.
func (w *workload) probe(server *process, addr string) (a answer, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return a, err
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for _, request := range append(w.register, w.requests[0]) {
		if _, err := conn.Write(request); err != nil {
			return a, err
		}
		server.requests++
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return a, err
		}
		if a.Body, err = io.ReadAll(resp.Body); err != nil {
			return a, err
		}
		a.Header = resp.Header
	}
	return a, w.check(a.Body)
}

// check compares an answer with the one in testdata, except for the time in it.
func (w *workload) check(body []byte) error {
	want, err := testdata.ReadFile("testdata/" + w.answer + ".json")
	if err != nil {
		return err
	}
	timeless := regexp.MustCompile(fetchedAt+`[^"]*`).ReplaceAll(body, []byte(fetchedAt))
	if !bytes.Equal(bytes.TrimSpace(timeless), bytes.TrimSpace(want)) {
		return fmt.Errorf("the answer is not that of testdata/%s.json: %s", w.answer, body)
	}
	return nil
}

// load returns the generator's load, with what to expect from a right answer.
func (w *workload) load(conns int, answer []byte) load {
	l := load{Conns: conns, Requests: w.requests, Want: answer, IDs: w.ids, Trace: w.trace}
	if before, _, ok := bytes.Cut(answer, []byte(fetchedAt)); ok && w.ids.N != 1 {
		l.Want, l.Tail = append(before, fetchedAt...), tailSize
	}
	return l
}
