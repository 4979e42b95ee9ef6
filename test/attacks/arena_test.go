//go:build linux

package attacks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// patience is how long a connection is read; no attack may take as long.
const patience = 30 * time.Second

// arena is a service in front of an authentik that counts.
type arena struct {
	*servicetest.Service
	authentik *upstreamtest.Authentik
}

func newArena(t *testing.T) *arena {
	t.Helper()
	authentik := upstreamtest.New(upstreamtest.Options{})
	authentik.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	for id, fault := range hostile {
		authentik.AddCode(upstreamtest.Code{PK: id, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
		authentik.SetFault(id, fault)
	}
	srv := httptest.NewServer(authentik)
	t.Cleanup(func() { authentik.Close(); srv.Close() })
	binary := servicetest.Build(t)
	return &arena{
		Service: servicetest.Start(t, binary, nil, "AUTHENTIK_URL="+srv.URL, "UPSTREAM_TIMEOUT=2s",
			// Nothing is cached, so that a row's calls are all its own.
			"CACHE_TTL=0s"),
		authentik: authentik,
	}
}

// open connects, for at most patience.
func (a *arena) open() (net.Conn, error) {
	c, err := net.DialTimeout("tcp", a.Addr, patience)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// quiet is how long a connection must be silent for its last answer to have come.
const quiet = 200 * time.Millisecond

// answer is what came back on a connection, as a row expects it: "200 data", "413 PAYLOAD_TOO_LARGE",
// "404" for an answer that is not GraphQL's, "closed" for none. With all, every answer until the
// connection is quiet counts, each kind once, with commas between.
func (a *arena) answer(send func(io.Writer) error, all bool) (answer string, bodies []byte) {
	c, err := a.open()
	if err != nil {
		return err.Error(), nil
	}
	defer func() { _ = c.Close() }()
	// The service may answer before all was sent, and ends the connection then: that is no error.
	go func() { _ = send(c) }()
	var answers []string
	for r := bufio.NewReader(c); ; {
		text, body, err := read(r)
		if text != "" {
			answers = append(answers, text)
			bodies = append(bodies, body...)
		}
		if err != nil || !all {
			break
		}
		_ = c.SetReadDeadline(time.Now().Add(quiet))
	}
	if len(answers) == 0 {
		return "closed", nil
	}
	slices.Sort(answers)
	return strings.Join(slices.Compact(answers), ", "), bodies
}

// read reads one answer. The error is that of a connection at its end.
func read(r *bufio.Reader) (text string, body []byte, err error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", nil, err
	}
	body, err = io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", nil, err
	}
	if resp.Close {
		err = io.EOF
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, outcome(body))), body, err
}

// outcome names what is in a GraphQL answer: its errors' codes, or data.
func outcome(body []byte) string {
	var answer struct {
		Data   json.RawMessage
		Errors []struct{ Extensions struct{ Code string } }
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var codes []string
	for _, e := range answer.Errors {
		if !slices.Contains(codes, e.Extensions.Code) {
			codes = append(codes, e.Extensions.Code)
		}
	}
	if len(codes) == 0 && answer.Data != nil {
		return "data"
	}
	return strings.Join(codes, "+")
}

// stillAnswers wants a code at once, or, where the row made authentik fail so often that it is left
// alone, soon.
func (a *arena) stillAnswers(t *testing.T, soon bool) {
	t.Helper()
	ask := post(query(`{ authorizationCode(id: 17) { id } }`))
	start := time.Now()
	got, body := a.answer(ask, false)
	if soon {
		cachetest.Eventually(t, "authentik is called again", func() bool {
			got, body = a.answer(ask, false)
			return got != "200 UPSTREAM_UNAVAILABLE"
		})
	}
	if took := time.Since(start); got != "200 data" || !bytes.Contains(body, []byte(`"17"`)) || took > 5*time.Second {
		t.Errorf("afterwards the service answers %s after %s: %s", got, took, body)
	}
}

// forgetPeak makes the largest resident set start from now.
func (a *arena) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", a.PID()), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// request is the bytes of a request with a body.
func request(target, body string, headers ...string) string {
	return fmt.Sprintf("%s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", target, lines(headers), len(body), body)
}

func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

const (
	isJSON  = "Content-Type: application/json"
	isAlice = "Authorization: Bearer " + upstreamtest.TokenAlice
	post_   = "POST /graphql"
)

func raw(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// post sends a JSON body as alice.
func post(body string) func(io.Writer) error { return raw(request(post_, body, isJSON, isAlice)) }

// query is the body of a document.
func query(document string, variables ...string) string {
	b, _ := json.Marshal(document)
	if len(variables) == 0 {
		return `{"query":` + string(b) + `}`
	}
	return `{"query":` + string(b) + `,"variables":` + variables[0] + `}`
}
