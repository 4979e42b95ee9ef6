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
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// connTimeout bounds a connection. No attack may take as long.
const connTimeout = 30 * time.Second

// harness is the service in front of an authentik that counts its calls.
type harness struct {
	*servicetest.Service
	authentik *servicetest.Authentik
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	authentik := servicetest.StartAuthentik(t, upstreamtest.Options{})
	authentik.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	for id, fault := range hostile {
		authentik.AddCode(upstreamtest.Code{PK: id, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
		authentik.SetFault(id, fault)
	}
	binary := servicetest.Build(t)
	return &harness{
		Service: servicetest.Start(t, binary, nil, "AUTHENTIK_URL="+authentik.URL, "UPSTREAM_TIMEOUT=2s",
			// Without a cache a row's calls do not depend on the rows before.
			"CACHE_TTL=0s"),
		authentik: authentik,
	}
}

// open connects with a deadline.
func (h *harness) open() (net.Conn, error) {
	c, err := net.DialTimeout("tcp", h.Addr, connTimeout)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(connTimeout))
	}
	return c, err
}

// quietTime is how long a connection must be silent for its last response to have arrived.
const quietTime = 200 * time.Millisecond

// exchange returns what came back on a connection as a row states it: "200 data", "413 PAYLOAD_TOO_LARGE",
// "404" for a response that is not GraphQL's, "closed" for none. With all it returns every kind of response
// until the connection is quiet, separated by commas.
func (h *harness) exchange(send func(io.Writer) error, all bool) (summary string, bodies []byte) {
	c, err := h.open()
	if err != nil {
		return err.Error(), nil
	}
	defer func() { _ = c.Close() }()
	// An early response closes the connection, so that sending may fail.
	go func() { _ = send(c) }()
	var responses []string
	for r := bufio.NewReader(c); ; {
		text, body, err := readResponse(r)
		if text != "" {
			responses = append(responses, text)
			bodies = append(bodies, body...)
		}
		if err != nil || !all {
			break
		}
		_ = c.SetReadDeadline(time.Now().Add(quietTime))
	}
	if len(responses) == 0 {
		return "closed", nil
	}
	slices.Sort(responses)
	return strings.Join(slices.Compact(responses), ", "), bodies
}

// readResponse reads one response. It returns an error if the connection ends with it.
func readResponse(r *bufio.Reader) (text string, body []byte, err error) {
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

// outcome names what a GraphQL response holds: its errors' codes, or data.
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

// checkAlive wants an answer at once, or, after a row that may have opened the circuit breaker, soon.
func (h *harness) checkAlive(t *testing.T, breaker bool) {
	t.Helper()
	ask := post(query(`{ authorizationCode(id: 17) { id } }`))
	start := time.Now()
	got, body := h.exchange(ask, false)
	if breaker {
		cachetest.Eventually(t, "authentik is called again", func() bool {
			got, body = h.exchange(ask, false)
			return got != "200 UPSTREAM_UNAVAILABLE"
		})
	}
	if took := time.Since(start); got != "200 data" || !bytes.Contains(body, []byte(`"17"`)) || took > 5*time.Second {
		t.Errorf("afterwards the service answers %s after %s: %s", got, took, body)
	}
}

// resetPeak makes the kernel measure the peak resident set from now on.
func (h *harness) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", h.PID()), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// request returns the bytes of a request with a body.
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
	jsonType    = "Content-Type: application/json"
	asAlice     = "Authorization: Bearer " + upstreamtest.TokenAlice
	postGraphQL = "POST /graphql"
)

func raw(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// post sends a JSON body as alice.
func post(body string) func(io.Writer) error {
	return raw(request(postGraphQL, body, jsonType, asAlice))
}

// query returns the body of a request.
func query(document string, variables ...string) string {
	b, _ := json.Marshal(document)
	if len(variables) == 0 {
		return `{"query":` + string(b) + `}`
	}
	return `{"query":` + string(b) + `,"variables":` + variables[0] + `}`
}
