package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

const (
	pk        = 17
	unhurried = 20 * time.Second
	hurried   = 150 * time.Millisecond
)

var alice = upstream.NewCredential(upstreamtest.TokenAlice)

// client makes a client of that server that logs nothing.
func client(t testing.TB, base string, change ...func(*upstream.Options)) *upstream.Client {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	o := upstream.Options{BaseURL: u, Timeout: unhurried, UserAgent: "test/1", Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	c := upstream.NewClient(o)
	t.Cleanup(c.Close)
	return c
}

func timeout(d time.Duration) func(*upstream.Options) {
	return func(o *upstream.Options) { o.Timeout = d }
}

// authentik serves a fake with code 17 of alice.
func authentik(t testing.TB, o upstreamtest.Options) (*upstreamtest.Authentik, *httptest.Server) {
	t.Helper()
	fake := upstreamtest.New(o)
	fake.AddCode(upstreamtest.Code{PK: pk, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour), Scope: []string{"openid"}})
	server := httptest.NewServer(fake)
	t.Cleanup(func() { fake.Close(); server.Close() })
	return fake, server
}

// serve answers every request by f.
func serve(t testing.TB, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server
}

// body is code 17 as an answer.
var body = strings.Replace(minimal, `"pk":7`, `"pk":17`, 1)

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body)
}

// wantKind checks that err is an *Error of that kind.
func wantKind(t *testing.T, err error, want upstream.Kind) *upstream.Error {
	t.Helper()
	var e *upstream.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T), want %v", err, err, want)
	}
	if e.Kind != want {
		t.Errorf("got %v, want %v: %v", e.Kind, want, e)
	}
	if strings.Contains(err.Error(), upstreamtest.TokenAlice) {
		t.Errorf("the token is in %q", err)
	}
	return e
}

func TestRetrieve(t *testing.T) {
	for _, release := range upstreamtest.Releases() {
		t.Run(string(release), func(t *testing.T) {
			fake, server := authentik(t, upstreamtest.Options{Release: release})
			c := client(t, server.URL)
			a, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if err != nil {
				t.Fatal(err)
			}
			if a.Value.PK != pk || *a.Value.User.Username != upstreamtest.UserAlice || a.Value.Expired || a.Value.EndsAt.IsZero() {
				t.Errorf("got %v of %v", a.Value, a.Value.User)
			}
			if a.AuthentikID == "" {
				t.Error("authentik's id is missing")
			}
			if s := c.Stats(); s.Calls != 1 || len(s.Dropped) > 0 || fake.Retrieves(pk) != 1 {
				t.Errorf("stats %+v, %d requests", s, fake.Retrieves(pk))
			}
			e := func(cred upstream.Credential, pk upstream.PK, want upstream.Kind) {
				t.Helper()
				_, err := c.Retrieve(t.Context(), cred, upstream.AuthorizationCodes, pk)
				wantKind(t, err, want)
			}
			e(upstream.NewCredential(upstreamtest.TokenBob), pk, upstream.NotFound)
			e(alice, 18, upstream.NotFound)
			e(upstream.NewCredential("nobody"), pk, upstream.Unauthenticated)
		})
	}
}

// TestFetchedAt checks that the clock is read when the request leaves, for the expiry, and when the answer
// has come.
func TestFetchedAt(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, body) })
	readings := []time.Time{sent, sent.Add(2 * time.Minute)}
	c := client(t, server.URL, func(o *upstream.Options) {
		o.Now = func() time.Time { now := readings[0]; readings = readings[1:]; return now }
	})
	a, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
	if err != nil {
		t.Fatal(err)
	}
	if want := sent.Add(2 * time.Minute); !a.FetchedAt.Equal(want) || !a.Value.EndsAt.Equal(sent.Add(time.Minute)) {
		t.Errorf("fetched at %v, ends at %v", a.FetchedAt, a.Value.EndsAt)
	}
}

func TestFaults(t *testing.T) {
	type want struct {
		kind       upstream.Kind
		status     int
		retryAfter time.Duration
		fields     []string
		sent       int // how often; 0 is once
	}
	const fine upstream.Kind = -1
	wants := map[string]want{
		"status-401":            {kind: upstream.Unauthenticated, status: 401},
		"forbidden-403":         {kind: upstream.Forbidden, status: 403},
		"token-invalid-403":     {kind: upstream.Unauthenticated, status: 403},
		"bad-request-400":       {kind: upstream.BadInput, status: 400, fields: []string{"user"}},
		"not-acceptable-406":    {kind: upstream.InvalidResponse, status: 406},
		"throttled-429":         {kind: upstream.RateLimited, status: 429, retryAfter: time.Minute},
		"error-500":             {kind: upstream.Failed, status: 500},
		"empty-405":             {kind: upstream.InvalidResponse, status: 405},
		"starting-502-text":     {kind: upstream.Unavailable, status: 502, sent: 3},
		"starting-502-json":     {kind: upstream.Unavailable, status: 502, sent: 3},
		"starting-200":          {kind: upstream.Unavailable, status: 200, retryAfter: 5 * time.Second},
		"starting-503-json":     {kind: upstream.Unavailable, status: 503, retryAfter: 5 * time.Second},
		"starting-503-text":     {kind: upstream.Unavailable, status: 503, retryAfter: 5 * time.Second},
		"starting-503-html":     {kind: upstream.Unavailable, status: 503, retryAfter: 5 * time.Second},
		"backend-down-502-json": {kind: upstream.Unavailable, status: 502, sent: 3},
		"backend-down-502-text": {kind: upstream.Unavailable, status: 502, sent: 3},
		"not-ready-503":         {kind: upstream.Unavailable, status: 503, retryAfter: 5 * time.Second},
		"lost-503":              {kind: upstream.Unavailable, status: 503, retryAfter: 5 * time.Second},
		"timeout-408":           {kind: upstream.Timeout, status: 408},
		"html-404":              {kind: upstream.InvalidResponse, status: 404},
		"text-404":              {kind: upstream.InvalidResponse, status: 404},
		"html-200":              {kind: upstream.InvalidResponse, status: 200},
		"redirect-301":          {kind: upstream.InvalidResponse, status: 301},
		"redirect-302":          {kind: upstream.InvalidResponse, status: 302},
		"empty-200":             {kind: upstream.InvalidResponse, status: 200},
		"wrong-json":            {kind: upstream.InvalidResponse, status: 200},
		"wrong-array":           {kind: upstream.InvalidResponse, status: 200},
		"wrong-object":          {kind: upstream.InvalidResponse, status: 200},
		"wrong-pk":              {kind: upstream.InvalidResponse, status: 200},
		"cut-json":              {kind: upstream.InvalidResponse, status: 200, sent: 3},
		"hang":                  {kind: upstream.Timeout},
		"reset":                 {kind: upstream.Unavailable, sent: 3},
		"drop-kept-alive":       {kind: fine},
		"endless":               {kind: upstream.Timeout, status: 200},
		"huge":                  {kind: upstream.InvalidResponse, status: 200},
		"slow-headers":          {kind: upstream.Timeout},
		"slow-body":             {kind: upstream.Timeout, status: 200},
	}
	for _, fault := range upstreamtest.Faults() {
		t.Run(fault.Name, func(t *testing.T) {
			want, ok := wants[fault.Name]
			if !ok {
				t.Fatal("the table does not know this fault")
			}
			fake, server := authentik(t, upstreamtest.Options{})
			d := unhurried
			switch {
			case want.kind == upstream.Timeout:
				d = hurried
			case want.retryAfter > 0:
				d = 4 * time.Second // too short to wait as long as authentik asks
			}
			c := client(t, server.URL, timeout(d))
			fake.SetFault(pk, fault)
			start := time.Now()
			_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			if want.kind == fine {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := wantKind(t, err, want.kind)
			if e.Status != want.status || e.RetryAfter != want.retryAfter || !slices.Equal(e.Fields, want.fields) {
				t.Errorf("status %d, retry after %v, fields %q", e.Status, e.RetryAfter, e.Fields)
			}
			if n := fake.Retrieves(pk); n != max(want.sent, 1) {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	var got http.Header
	var line string
	_, server := authentik(t, upstreamtest.Options{OnRequest: func(r *http.Request) {
		got, line = r.Header.Clone(), r.Method+" "+r.RequestURI+" "+r.Proto
	}})
	c := client(t, server.URL)
	if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Accept":        {"application/json"},
		"Authorization": {"Bearer " + upstreamtest.TokenAlice},
		"User-Agent":    {"test/1"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if want := "GET /api/v3/oauth2/authorization_codes/17/ HTTP/1.1"; line != want {
		t.Errorf("got %s", line)
	}

	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if want := (http.Header{"User-Agent": {"test/1"}}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("readiness: got %v, want %v", got, want)
	}
}

func TestPathPrefix(t *testing.T) {
	for _, tc := range []struct{ prefix, base string }{
		{"", ""}, {"", "/"}, {"", "//"}, {"/auth", "/auth"}, {"/auth", "/auth/"}, {"/a/b", "/a/b/"},
	} {
		t.Run("base "+tc.base, func(t *testing.T) {
			_, server := authentik(t, upstreamtest.Options{PathPrefix: tc.prefix})
			c := client(t, server.URL+tc.base)
			if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
				t.Error(err)
			}
			if err := c.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("wrong prefix", func(t *testing.T) {
		_, server := authentik(t, upstreamtest.Options{PathPrefix: "/auth"})
		c := client(t, server.URL)
		_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		wantKind(t, err, upstream.InvalidResponse)
		if err := c.Ready(t.Context()); err == nil {
			t.Error("ready")
		}
	})
}

// TestNoCookies checks that a cookie of one caller's answer is not sent with the next call.
func TestNoCookies(t *testing.T) {
	var cookies []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cookies = append(cookies, r.Header.Get("Cookie"))
		http.SetCookie(w, &http.Cookie{Name: "authentik_session", Value: "alice", Path: "/"})
		answer(w, body)
	})
	c := client(t, server.URL)
	for _, cred := range []upstream.Credential{alice, upstream.NewCredential("other")} {
		if _, err := c.Retrieve(t.Context(), cred, upstream.AuthorizationCodes, pk); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(cookies, []string{"", ""}) {
		t.Errorf("cookies %q", cookies)
	}
}

func TestNoRedirects(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { elsewhere.Add(1); answer(w, body) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			var here atomic.Int32
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				here.Add(1)
				http.Redirect(w, r, other.URL+r.URL.Path, status)
			})
			c := client(t, server.URL)
			_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			wantKind(t, err, upstream.InvalidResponse)
			if err := c.Ready(t.Context()); err == nil {
				t.Error("ready")
			}
			if here.Load() != 2 || elsewhere.Load() != 0 {
				t.Errorf("%d calls here, %d elsewhere", here.Load(), elsewhere.Load())
			}
		})
	}
}

// rawServer accepts connections and gives each to f with its number, from 1.
func rawServer(t *testing.T, f func(n int, conn *net.TCPConn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				f(n, conn.(*net.TCPConn), bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return "http://" + l.Addr().String()
}

func writeCode(conn io.Writer) {
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// TestKeptAliveConnectionDropped checks that a GET is sent again if its kept-alive connection ends without an
// answer, whether it is closed or reset.
func TestKeptAliveConnectionDropped(t *testing.T) {
	for name, linger := range map[string]int{"closed": -1, "reset": 0} {
		t.Run(name, func(t *testing.T) {
			var requests, conns atomic.Int32
			base := rawServer(t, func(n int, conn *net.TCPConn, r *bufio.Reader) {
				conns.Store(int32(n))
				for i := 0; ; i++ {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					requests.Add(1)
					if n == 1 && i == 1 {
						_ = conn.SetLinger(linger)
						return
					}
					writeCode(conn)
				}
			})
			c := client(t, base)
			for i := range 3 {
				if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
					t.Fatalf("call %d: %v", i+1, err)
				}
			}
			if requests.Load() != 4 || conns.Load() != 2 {
				t.Errorf("%d requests over %d connections", requests.Load(), conns.Load())
			}
			if s := c.Stats(); s.Calls != 3 {
				t.Errorf("%d calls", s.Calls)
			}
			c.Close()
		})
	}
	t.Run("fake", func(t *testing.T) {
		fake, server := authentik(t, upstreamtest.Options{})
		c := client(t, server.URL)
		fake.SetFault(pk, upstreamtest.DropKeptAlive)
		for i := range 5 {
			if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
				t.Fatalf("call %d: %v", i+1, err)
			}
		}
	})
}

// TestFreshConnectionDropped checks that the same is a failure on a new connection, where each of the three
// tries is one request.
func TestFreshConnectionDropped(t *testing.T) {
	for name, linger := range map[string]int{"closed": -1, "reset": 0} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			base := rawServer(t, func(_ int, conn *net.TCPConn, r *bufio.Reader) {
				_, _ = http.ReadRequest(r)
				requests.Add(1)
				_ = conn.SetLinger(linger)
			})
			_, err := client(t, base).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			wantKind(t, err, upstream.Unavailable)
			if n := requests.Load(); n != 3 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestNotHTTP(t *testing.T) {
	for name, text := range map[string]string{
		"another protocol": "SSH-2.0-OpenSSH_9.6\r\n\r\n",
		"headers on end":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Filler: "+strings.Repeat("a", 1000)+"\r\n", 100) + "\r\n",
		"nothing":          "",
	} {
		t.Run(name, func(t *testing.T) {
			base := rawServer(t, func(_ int, conn *net.TCPConn, r *bufio.Reader) {
				_, _ = http.ReadRequest(r)
				_, _ = io.WriteString(conn, text)
			})
			_, err := client(t, base).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			wantKind(t, err, upstream.Unavailable)
		})
	}
	t.Run("no listener", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		c := client(t, server.URL)
		_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		wantKind(t, err, upstream.Unavailable)
		if err := c.Ready(t.Context()); err == nil {
			t.Error("ready")
		}
	})
}

func TestDeadline(t *testing.T) {
	for _, fault := range []upstreamtest.Fault{upstreamtest.Hang, upstreamtest.Endless, upstreamtest.SlowHeaders(time.Minute), upstreamtest.SlowBody(time.Minute)} {
		fake, server := authentik(t, upstreamtest.Options{})
		fake.SetFault(upstreamtest.AllRequests, fault)
		fake.SetFault(upstreamtest.HealthRequests, fault)
		t.Run(fault.Name+"/timeout", func(t *testing.T) {
			start := time.Now()
			_, err := client(t, server.URL, timeout(hurried)).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			e := wantKind(t, err, upstream.Timeout)
			if took := time.Since(start); took < hurried || took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("the cause is %v", e.Err)
			}
		})
		t.Run(fault.Name+"/caller leaves", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(hurried, cancel)
			defer timer.Stop()
			start := time.Now()
			_, err := client(t, server.URL).Retrieve(ctx, alice, upstream.AuthorizationCodes, pk)
			e := wantKind(t, err, upstream.Timeout)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if !errors.Is(e, context.Canceled) {
				t.Errorf("the cause is %v", e.Err)
			}
		})
	}
	fake, server := authentik(t, upstreamtest.Options{})
	t.Run("no time at all", func(t *testing.T) {
		_, err := client(t, server.URL, timeout(0)).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		wantKind(t, err, upstream.Timeout)
	})
	t.Run("the caller had left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := client(t, server.URL).Retrieve(ctx, alice, upstream.AuthorizationCodes, pk)
		wantKind(t, err, upstream.Timeout)
	})
	if n := fake.Calls().Total; n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	t.Run("all slots are taken", func(t *testing.T) {
		arrived := make(chan struct{}, 2)
		fake, server := authentik(t, upstreamtest.Options{OnRequest: func(*http.Request) { arrived <- struct{}{} }})
		fake.SetFault(1, upstreamtest.Hang)
		c := client(t, server.URL, func(o *upstream.Options) { o.Concurrency = 1 })
		first, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { _, err := c.Retrieve(first, alice, upstream.AuthorizationCodes, 1); left <- err }()
		<-arrived
		second, cancel := context.WithTimeout(t.Context(), hurried)
		defer cancel()
		_, err := c.Retrieve(second, alice, upstream.AuthorizationCodes, pk)
		if e := wantKind(t, err, upstream.Unavailable); e.RetryAfter != time.Second || e.Status != 0 {
			t.Errorf("retry after %v, status %d", e.RetryAfter, e.Status)
		}
		if n := fake.Calls().Total; n != 1 {
			t.Errorf("%d requests arrived", n)
		}
		leave()
		wantKind(t, <-left, upstream.Timeout)
		if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("readiness", func(t *testing.T) {
		fake, server := authentik(t, upstreamtest.Options{})
		fake.SetFault(upstreamtest.HealthRequests, upstreamtest.Hang)
		if err := client(t, server.URL, timeout(hurried)).Ready(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// TestCutFailures checks that an answer that ends too early is not taken for what its beginning says, and
// that one that ends too late is a time-out whatever its status is.
func TestCutFailures(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   upstream.Kind
		cause  error
	}{
		{"404 cut", 404, `{"detail":"Not`, upstream.InvalidResponse, io.ErrUnexpectedEOF},
		{"404 empty", 404, ``, upstream.InvalidResponse, io.ErrUnexpectedEOF},
		{"500 cut", 500, `<!DOC`, upstream.Failed, nil},
		{"503 cut", 503, `authentik starting`, upstream.Unavailable, nil},
		{"200 cut after the code", 200, body, upstream.InvalidResponse, io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base := rawServer(t, func(_ int, conn *net.TCPConn, r *bufio.Reader) {
				_, _ = http.ReadRequest(r)
				_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nX-Authentik-Id: abc\r\nContent-Length: %d\r\n\r\n%s", tc.status, len(tc.body)+1, tc.body)
			})
			_, err := client(t, base).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			e := wantKind(t, err, tc.want)
			if e.Status != tc.status || e.AuthentikID != "abc" || tc.cause != nil && !errors.Is(e, tc.cause) {
				t.Errorf("status %d, id %q, cause %v", e.Status, e.AuthentikID, e.Err)
			}
		})
	}
	t.Run("404 that hangs", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		_, err := client(t, server.URL, timeout(hurried)).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		wantKind(t, err, upstream.Timeout)
	})
}

func TestSizeCap(t *testing.T) {
	padded := func(size int) string {
		return strings.Repeat(" ", size-len(body)) + body
	}
	for _, tc := range []struct {
		name    string
		size    int
		chunked bool
		fits    bool
	}{
		{"small, announced", upstream.SmallBody, false, true},
		{"small, in chunks", upstream.SmallBody, true, true},
		{"a byte less, in chunks", upstream.SmallBody - 1, true, true},
		{"a byte more, announced", upstream.SmallBody + 1, false, true},
		{"a byte more, in chunks", upstream.SmallBody + 1, true, true},
		{"the cap, announced", upstream.MaxBody, false, true},
		{"the cap, in chunks", upstream.MaxBody, true, true},
		{"a byte over, announced", upstream.MaxBody + 1, false, false},
		{"a byte over, in chunks", upstream.MaxBody + 1, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if !tc.chunked {
					w.Header().Set("Content-Length", strconv.Itoa(tc.size))
				}
				answer(w, padded(tc.size))
			})
			_, err := client(t, server.URL).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if tc.fits {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := wantKind(t, err, upstream.InvalidResponse); !strings.Contains(e.Error(), "size cap") {
				t.Errorf("got %v", e)
			}
		})
	}
}

func TestNoCredential(t *testing.T) {
	fake, server := authentik(t, upstreamtest.Options{})
	c := client(t, server.URL)
	_, err := c.Retrieve(t.Context(), upstream.Credential{}, upstream.AuthorizationCodes, pk)
	wantKind(t, err, upstream.Unauthenticated)
	if fake.Calls().Total != 0 || c.Stats().Calls != 0 {
		t.Errorf("%d requests arrived", fake.Calls().Total)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
			return
		}
		answer(w, body)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)

	_, err := client(t, server.URL).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
	e := wantKind(t, err, upstream.Unavailable)
	var unknown x509.UnknownAuthorityError
	if !errors.As(e, &unknown) {
		t.Errorf("the cause is %v", e.Err)
	}

	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	trusting := client(t, server.URL, func(o *upstream.Options) { o.RootCAs = roots })
	if _, err := trusting.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
		t.Error(err)
	}
}

// TestConnections checks that there are no more connections than calls allowed at once, and that steady load
// dials none.
func TestConnections(t *testing.T) {
	const calls, parallel = 2000, 64
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: pk, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	var opened, open, most atomic.Int32
	server := httptest.NewUnstartedServer(fake)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			opened.Add(1)
			for now := open.Add(1); ; {
				if m := most.Load(); now <= m || most.CompareAndSwap(m, now) {
					return
				}
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	server.Start()
	t.Cleanup(func() { fake.Close(); server.Close() })
	c := client(t, server.URL)

	load := func(calls, parallel int) {
		t.Helper()
		var next, failed atomic.Int32
		var workers sync.WaitGroup
		for range parallel {
			workers.Go(func() {
				for int(next.Add(1)) <= calls {
					if _, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk); err != nil {
						failed.Add(1)
					}
				}
			})
		}
		workers.Wait()
		if n := failed.Load(); n > 0 {
			t.Errorf("%d of %d calls failed", n, calls)
		}
	}
	load(calls, parallel)
	// On a busy machine net/http now and then replaces a connection whose answer came while it was being
	// returned to the pool, and the server notices the new one before the end of the old one.
	if n := most.Load(); n > parallel+parallel/8 {
		t.Errorf("%d connections were open at once", n)
	}
	if n := opened.Load(); n > parallel+parallel/8 {
		t.Errorf("%d connections were opened", n)
	}
	before := opened.Load()
	load(200, int(min(8, before)))
	if n := opened.Load() - before; n > 0 {
		t.Errorf("steady load opened %d more", n)
	}
	load(calls, parallel)
	if n := opened.Load() - before; n > parallel/8 {
		t.Errorf("steady load of as many as may run opened %d more", n)
	}
	load(400, 2*parallel)
	if n := opened.Load() - before; n > parallel/4 {
		t.Errorf("more calls than may run opened %d more", n)
	}
	if n := fake.Retrieves(pk); n != 2*calls+200+400 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestReady(t *testing.T) {
	for status, ready := range map[int]bool{
		200: true, 204: true, 299: true, 301: false, 302: false, 401: false, 404: false, 500: false, 502: false, 503: false,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			var path string
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				w.Header().Set("Location", "/")
				w.WriteHeader(status)
			})
			c := client(t, server.URL)
			if err := c.Ready(t.Context()); (err == nil) != ready {
				t.Errorf("got %v", err)
			}
			if path != "/-/health/ready/" {
				t.Errorf("asked %s", path)
			}
			if n := c.Stats().Calls; n != 0 {
				t.Errorf("counted as %d calls", n)
			}
		})
	}
}

// TestDropped checks that fields of an unknown form are counted each time and logged once.
func TestDropped(t *testing.T) {
	var log bytes.Buffer
	odd := strings.Replace(with("user", `"email":["TELLTALE"],"name":1`), `"pk":7`, `"pk":17`, 1)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, odd) })
	c := client(t, server.URL, func(o *upstream.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		a, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
		if err != nil || a.Value.User.Email != nil {
			t.Fatalf("error %v", err)
		}
	}
	s := c.Stats()
	if s.Calls != 3 || len(s.Dropped) != 2 || s.Dropped["user.email"] != 3 || s.Dropped["user.name"] != 3 {
		t.Errorf("stats %+v", s)
	}
	s.Dropped["user.email"] = 0 // a copy
	if c.Stats().Dropped["user.email"] != 3 {
		t.Error("Stats gave its own map away")
	}
	if text := log.String(); strings.Count(text, "field=user.email") != 1 || strings.Count(text, "\n") != 2 || strings.Contains(text, "TELLTALE") {
		t.Errorf("log: %s", text)
	}
}

// TestHarmfulID checks that an id that could forge a log line is left out.
func TestHarmfulID(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Authentik-Id", `x" level=ERROR`)
		answer(w, body)
	})
	a, err := client(t, server.URL).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
	if err != nil || a.AuthentikID != "" {
		t.Errorf("id %q, error %v", a.AuthentikID, err)
	}
}
