package servicetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Reply is a response. Data and Errors are set if it is JSON.
type Reply struct {
	Status int
	Header http.Header
	Closed bool // the server closes the connection
	Body   []byte
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Path       []any
		Extensions struct {
			Code           string
			RequestID      string
			UpstreamStatus int
			RetryAfter     int
			Limit          string
		}
	}
}

// Codes returns the errors' codes, separated by blanks.
func (r Reply) Codes() string {
	codes := make([]string, len(r.Errors))
	for i, e := range r.Errors {
		codes[i] = e.Extensions.Code
	}
	return strings.Join(codes, " ")
}

// Query sends a document to the service at url, with a bearer token unless that is empty.
func Query(t testing.TB, url, token, document string) Reply {
	t.Helper()
	return Send(t, NewQuery(t, url, token, document))
}

// NewQuery returns the request of Query.
func NewQuery(t testing.TB, url, token, document string) *http.Request {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	req := NewRequest(t, http.MethodPost, url+"/graphql", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req
}

// NewRequest returns a request that ends with the test.
func NewRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// Send sends a request and reads the response.
func Send(t testing.TB, req *http.Request) Reply {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	r := Reply{Status: resp.StatusCode, Header: resp.Header, Closed: resp.Close}
	if r.Body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(r.Body, &r); err != nil {
			t.Fatalf("the response is not JSON: %v\n%s", err, r.Body)
		}
	}
	return r
}
