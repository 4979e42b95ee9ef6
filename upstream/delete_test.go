package upstream_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// script answers the requests of a test one by one, and records them.
type script struct {
	mu      sync.Mutex
	steps   []http.HandlerFunc
	methods []string
	paths   []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := len(s.methods)
	s.methods, s.paths = append(s.methods, r.Method), append(s.paths, r.URL.Path)
	s.mu.Unlock()
	if n >= len(s.steps) {
		http.Error(w, "no further step", http.StatusTeapot)
		return
	}
	s.steps[n](w, r)
}

// asked returns the methods of all requests, joined.
func (s *script) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.methods, " ")
}

// says answers by status, content type and body; headers are pairs of name and value.
func says(status int, contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func faulty(f upstreamtest.Fault) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { f.Serve(w, r, http.NotFoundHandler()) }
}

// deleted is a 204 as authentik gives it.
func deleted(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// TestDelete checks what each answer means, and how often authentik is asked.
func TestDelete(t *testing.T) {
	const (
		jsonType = "application/json"
		unknown  = `{"detail":"No AuthorizationCode matches the given query."}`
		refused  = `{"detail":"You do not have permission to perform this action."}`
		invalid  = `{"detail":"Token invalid/expired"}`
		licence  = `{"detail":"Request denied due to expired/invalid license.","code":"denied_license"}`
	)
	reset := faulty(upstreamtest.Reset)
	none := says(404, jsonType, unknown)
	failing := says(405, "text/html; charset=utf-8", "", "Allow", "GET, HEAD, OPTIONS")
	row := says(200, jsonType, body)
	page404 := says(404, "text/html", "<!DOCTYPE html>")
	for _, tt := range []struct {
		name           string
		steps          []http.HandlerFunc
		kind           upstream.Kind // 0 is none
		status         int
		outcomeUnknown bool
		asked          string
	}{
		{name: "deleted", steps: []http.HandlerFunc{deleted}, asked: "DELETE"},
		{"unknown, or not visible", []http.HandlerFunc{none}, upstream.NotFound, 404, false, "DELETE"},
		{"without the permission", []http.HandlerFunc{says(403, jsonType, refused)}, upstream.Forbidden, 403, false, "DELETE"},
		{"by a token that is none", []http.HandlerFunc{says(403, jsonType, invalid)}, upstream.Unauthenticated, 403, false, "DELETE"},
		{"401 of a proxy", []http.HandlerFunc{says(401, jsonType, `{}`)}, upstream.InvalidResponse, 401, false, "DELETE"},
		{"an expired licence", []http.HandlerFunc{says(400, jsonType, licence)}, upstream.Unlicensed, 400, false, "DELETE"},
		{"another 400", []http.HandlerFunc{says(400, jsonType, `{"detail":"...","code":"else"}`)}, upstream.BadInput, 400, false, "DELETE"},
		{"a 400 of a proxy", []http.HandlerFunc{says(400, "text/plain", "Bad Request")}, upstream.InvalidResponse, 400, false, "DELETE"},
		{"authentik fails inside", []http.HandlerFunc{failing, row}, upstream.Failed, 405, false, "DELETE GET"},
		{"authentik fails inside, and at the GET", []http.HandlerFunc{failing, says(500, "text/html", "")}, upstream.Failed, 405, false, "DELETE GET"},
		{"authentik fails inside, and the row is gone", []http.HandlerFunc{failing, none}, upstream.Failed, 405, false, "DELETE GET"},
		{"the path is wrong", []http.HandlerFunc{failing, page404}, upstream.InvalidResponse, 404, false, "DELETE GET"},
		{"405 that allows DELETE", []http.HandlerFunc{says(405, jsonType, `{}`, "Allow", "GET, DELETE")}, upstream.InvalidResponse, 405, false, "DELETE"},
		{"406", []http.HandlerFunc{says(406, jsonType, `{"detail":"Could not satisfy the request Accept header."}`)}, upstream.InvalidResponse, 406, false, "DELETE"},
		{"429", []http.HandlerFunc{says(429, jsonType, `{}`, "Retry-After", "7")}, upstream.RateLimited, 429, false, "DELETE"},
		{"500 of a proxy", []http.HandlerFunc{says(500, "text/html", "")}, upstream.Failed, 500, false, "DELETE"},
		{"404 as a page", []http.HandlerFunc{page404}, upstream.InvalidResponse, 404, false, "DELETE"},
		{"200 as a page", []http.HandlerFunc{faulty(upstreamtest.HTML200)}, upstream.InvalidResponse, 200, false, "DELETE"},
		{"200 with the row", []http.HandlerFunc{row}, upstream.InvalidResponse, 200, false, "DELETE"},
		{"202", []http.HandlerFunc{says(202, jsonType, `{}`)}, upstream.InvalidResponse, 202, false, "DELETE"},
		{"a redirect is not followed", []http.HandlerFunc{says(307, "", "", "Location", "/elsewhere/")}, upstream.InvalidResponse, 307, false, "DELETE"},
		{"the core starts, 2025.10.0", []http.HandlerFunc{faulty(upstreamtest.Starting200)}, upstream.Unavailable, 200, false, "DELETE"},

		{"502, then deleted", []http.HandlerFunc{says(502, "text/html", ""), deleted}, 0, 0, false, "DELETE DELETE"},
		{"502, then none", []http.HandlerFunc{says(502, "text/html", ""), none}, 0, 0, true, "DELETE DELETE"},
		{"502 twice", []http.HandlerFunc{says(502, "text/html", ""), says(502, "text/html", "")}, upstream.Failed, 502, false, "DELETE DELETE"},
		// From 2026.8 on the router has no 502, and asks for five seconds: the second try comes after one.
		{"503, then deleted", []http.HandlerFunc{faulty(upstreamtest.Starting503JSON), deleted}, 0, 0, false, "DELETE DELETE"},
		{"503, then none", []http.HandlerFunc{faulty(upstreamtest.Starting503JSON), none}, 0, 0, true, "DELETE DELETE"},
		{"503 twice", []http.HandlerFunc{faulty(upstreamtest.Starting503JSON), faulty(upstreamtest.Starting503Text)}, upstream.Unavailable, 503, false, "DELETE DELETE"},
		{"503, then forbidden", []http.HandlerFunc{faulty(upstreamtest.Starting503JSON), says(403, jsonType, refused)}, upstream.Unavailable, 503, false, "DELETE DELETE"},
		{"503, then another 400", []http.HandlerFunc{says(503, "text/html", ""), says(400, "text/plain", "")}, upstream.Failed, 503, false, "DELETE DELETE"},
		{"408, then deleted", []http.HandlerFunc{says(408, "text/plain", ""), deleted}, 0, 0, false, "DELETE DELETE"},
		{"408, then none", []http.HandlerFunc{says(408, "text/plain", ""), none}, 0, 0, true, "DELETE DELETE"},
		{"408 twice", []http.HandlerFunc{says(408, "text/plain", ""), says(408, "text/plain", "")}, upstream.Timeout, 408, false, "DELETE DELETE"},
		{"504, then deleted", []http.HandlerFunc{says(504, "text/html", ""), deleted}, 0, 0, false, "DELETE DELETE"},
		{"504, then none", []http.HandlerFunc{says(504, "text/html", ""), none}, 0, 0, true, "DELETE DELETE"},
		{"504 twice", []http.HandlerFunc{says(504, "text/html", ""), says(504, "text/html", "")}, upstream.Failed, 504, false, "DELETE DELETE"},
		{"a reset, then deleted", []http.HandlerFunc{reset, deleted}, 0, 0, false, "DELETE DELETE"},
		{"a reset, then none", []http.HandlerFunc{reset, none}, 0, 0, true, "DELETE DELETE"},
		{"a reset, then a page", []http.HandlerFunc{reset, page404}, upstream.Unavailable, 0, false, "DELETE DELETE"},
		{"two resets", []http.HandlerFunc{reset, reset}, upstream.Unavailable, 0, false, "DELETE DELETE"},
		// A refused or rejected retry says nothing of the first try: a token may have deleted itself.
		{"a reset, then forbidden", []http.HandlerFunc{reset, says(403, jsonType, refused)}, upstream.Unavailable, 0, false, "DELETE DELETE"},
		{"a reset, then a token that is none", []http.HandlerFunc{reset, says(403, jsonType, `{"detail":"Token invalid/expired"}`)}, upstream.Unavailable, 0, false, "DELETE DELETE"},
		{"a reset, then a failure inside", []http.HandlerFunc{reset, failing}, upstream.Unavailable, 0, false, "DELETE DELETE"},
		{"a reset, then 429", []http.HandlerFunc{reset, says(429, jsonType, `{}`)}, upstream.Unavailable, 0, false, "DELETE DELETE"},
		{"a failure inside that breaks", []http.HandlerFunc{says(502, "text/plain", "failed to connect to authentik backend: EOF"), none}, 0, 0, true, "DELETE DELETE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{steps: tt.steps}
			server := serve(t, s.ServeHTTP)
			done, err := client(t, server.URL).Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
			outcomeUnknown := done.Value
			if tt.kind == 0 {
				if err != nil {
					t.Fatal(err)
				}
			} else if e := wantKind(t, err, tt.kind); e.Status != tt.status {
				t.Errorf("status %d, want %d", e.Status, tt.status)
			}
			if outcomeUnknown != tt.outcomeUnknown {
				t.Errorf("outcomeUnknown: %t", outcomeUnknown)
			}
			if got := s.asked(); got != tt.asked {
				t.Errorf("asked %q, want %q", got, tt.asked)
			}
			for _, path := range s.paths {
				if path != "/api/v3/oauth2/authorization_codes/17/" {
					t.Errorf("asked for %s", path)
				}
			}
		})
	}
}

// TestDeleteWithoutACall has no credential, or no time.
func TestDeleteWithoutACall(t *testing.T) {
	s := &script{steps: []http.HandlerFunc{deleted}}
	server := serve(t, s.ServeHTTP)
	_, err := client(t, server.URL).Delete(t.Context(), upstream.Credential{}, upstream.AuthorizationCodes, pk)
	wantKind(t, err, upstream.Unauthenticated)
	_, err = client(t, server.URL, timeout(0)).Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
	wantKind(t, err, upstream.Timeout)
	if s.asked() != "" {
		t.Errorf("asked %q", s.asked())
	}
}

// TestDeleteTimesOut checks that a DELETE without an answer in time is not retried, as no time is left. It may
// have worked.
func TestDeleteTimesOut(t *testing.T) {
	s := &script{steps: []http.HandlerFunc{faulty(upstreamtest.Hang)}}
	server := serve(t, s.ServeHTTP)
	_, err := client(t, server.URL, timeout(hurried)).Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
	if e := wantKind(t, err, upstream.Timeout); e.NotSent() {
		t.Errorf("it was sent: %v", e)
	}
	if s.asked() != "DELETE" {
		t.Errorf("asked %q", s.asked())
	}
}

// TestDeleteAfterTheCallerLeft checks that nothing is retried for a caller who has left.
func TestDeleteAfterTheCallerLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	s := &script{}
	s.steps = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		leave()
		upstreamtest.Hang.Serve(w, r, nil)
	}}
	server := serve(t, s.ServeHTTP)
	_, err := client(t, server.URL).Delete(ctx, alice, upstream.AuthorizationCodes, pk)
	wantKind(t, err, upstream.Timeout)
	if s.asked() != "DELETE" {
		t.Errorf("asked %q", s.asked())
	}
}

// TestDeleteRefusedConnection checks that the outcome is known where no server listens.
func TestDeleteRefusedConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	c := client(t, address)
	done, err := c.Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
	outcomeUnknown := done.Value
	wantKind(t, err, upstream.Unavailable)
	if outcomeUnknown {
		t.Error("outcomeUnknown")
	}
	if n := c.Stats().Calls; n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// openBreaker makes the breaker open by GETs of row 1, which fail.
func openBreaker(t *testing.T, c *upstream.Client) {
	for n := 0; c.Stats().BreakerState != "open"; n++ {
		if n == 200 {
			t.Error("the breaker does not open")
			return
		}
		_, _ = c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, 1)
	}
}

// TestDeleteWithAnOpenBreaker checks that the call is rejected, and that the error says so.
func TestDeleteWithAnOpenBreaker(t *testing.T) {
	fake, server := authentik(t, upstreamtest.Options{})
	fake.SetFault(1, upstreamtest.Error500)
	c := client(t, server.URL)
	openBreaker(t, c)
	fake.ResetCalls()
	_, err := c.Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
	if e := wantKind(t, err, upstream.Unavailable); !e.NotSent() || e.RetryAfter <= 0 {
		t.Errorf("not told that it was not sent, or when to come again: %v, %v", e, e.RetryAfter)
	}
	if n := fake.Calls().Total; n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestDeleteWhoseRetryIsRejected checks that the outcome of the first try stays unknown when the breaker has
// opened meanwhile. The error must not say that nothing was sent.
func TestDeleteWhoseRetryIsRejected(t *testing.T) {
	var c *upstream.Client
	var deletes atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		deletes.Add(1)
		openBreaker(t, c)
		upstreamtest.Reset.Serve(w, r, nil)
	})
	c = client(t, server.URL)
	_, err := c.Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
	if e := wantKind(t, err, upstream.Unavailable); e.NotSent() {
		t.Errorf("it was sent once: %v", e)
	}
	if n := deletes.Load(); n != 1 {
		t.Errorf("%d DELETEs, want 1", n)
	}
}

// TestDeleteIsNotResent checks that net/http, which repeats a GET whose kept-alive connection ends without an
// answer, does not repeat a DELETE: the retry is ours, and counted.
func TestDeleteIsNotResent(t *testing.T) {
	fake, server := authentik(t, upstreamtest.Options{Permissions: map[string][]string{upstreamtest.UserAlice: {"delete_authorizationcode"}}})
	c := client(t, server.URL)
	if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil { // opens the connection
		t.Fatal(err)
	}
	fake.SetFault(pk, upstreamtest.DropKeptAlive)
	before := c.Stats()
	done, err := c.Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
	outcomeUnknown := done.Value
	if err != nil || outcomeUnknown {
		t.Fatalf("outcomeUnknown %t, error %v", outcomeUnknown, err)
	}
	after := c.Stats()
	if sent, arrived := after.Calls-before.Calls, fake.Calls().Delete; sent != 2 || arrived != 2 {
		t.Errorf("%d sent and %d arrived, want 2 of each", sent, arrived)
	}
	if n := after.Retries - before.Retries; n != 1 {
		t.Errorf("%d retries counted, want 1", n)
	}
}

// TestDeleteLostOnTheWay checks on the wire that each DELETE that net/http sends is one of ours.
func TestDeleteLostOnTheWay(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	requests := 0
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.SetReadDeadline(time.Now().Add(unhurried))
			b := make([]byte, 4096)
			n, _ := conn.Read(b)
			mu.Lock()
			requests += strings.Count(string(b[:n]), "DELETE ")
			mu.Unlock()
			_ = conn.Close() // as a process that is killed does
		}
	})
	_, err = client(t, "http://"+ln.Addr().String()).Delete(t.Context(), alice, upstream.AuthorizationCodes, pk)
	wantKind(t, err, upstream.Unavailable)
	_ = ln.Close()
	served.Wait()
	if requests != 2 {
		t.Errorf("%d DELETEs on the wire, want 2", requests)
	}
}

// TestDeleteOfEveryRelease deletes rows of all three resources by every release's rules.
func TestDeleteOfEveryRelease(t *testing.T) {
	for _, release := range upstreamtest.Releases() {
		t.Run(string(release), func(t *testing.T) {
			fake, server := authentik(t, upstreamtest.Options{Release: release})
			c := client(t, server.URL)
			dave, later := upstream.NewCredential(upstreamtest.TokenDave), time.Now().Add(time.Hour)
			for _, r := range upstream.Resources() {
				resource := upstreamtest.Resource(r)
				var own, foreign int32
				if resource == upstreamtest.AuthorizationCodes {
					own = fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserDave, Expires: later})
					foreign = fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: later})
				} else {
					own = fake.AddToken(resource, upstreamtest.Token{Owner: upstreamtest.UserDave, Expires: later})
					foreign = fake.AddToken(resource, upstreamtest.Token{Owner: upstreamtest.UserAlice, Expires: later})
				}
				_, err := c.Delete(t.Context(), alice, r, upstream.PK(foreign))
				wantKind(t, err, upstream.Forbidden)
				_, err = c.Delete(t.Context(), dave, r, upstream.PK(foreign))
				wantKind(t, err, upstream.NotFound)
				if done, err := c.Delete(t.Context(), dave, r, upstream.PK(own)); err != nil || done.Value {
					t.Errorf("%s: done.Value %t, error %v", r, done.Value, err)
				}
				_, err = c.Delete(t.Context(), dave, r, upstream.PK(own))
				wantKind(t, err, upstream.NotFound)
				_, err = c.Retrieve(t.Context(), dave, r, upstream.PK(own))
				wantKind(t, err, upstream.NotFound)

				fake.SetResourceFault(resource, upstreamtest.AllRequests, upstreamtest.Error500)
				_, err = c.Delete(t.Context(), alice, r, upstream.PK(foreign))
				wantKind(t, err, upstream.Failed)
				fake.ClearFaults()
			}
		})
	}
}
