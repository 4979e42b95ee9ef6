package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"authentik-graphql/cache/cachetest"

	"authentik-graphql/internal/app"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

const (
	testSecret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	testURL    = "AUTHENTIK_URL=https://auth.example.com"
)

// TestMain runs more tests at a time than there are processors: most of them wait.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4")
	logging.Disable() // of go-redis, as the program does
	os.Exit(m.Run())
}

type (
	reply = servicetest.Reply
	fake  = servicetest.Authentik
)

var (
	query      = servicetest.Query
	newQuery   = servicetest.NewQuery
	newRequest = servicetest.NewRequest
	send       = servicetest.Send
	newBuffer  = servicetest.NewBuffer
	startFake  = servicetest.StartAuthentik
	file       = servicetest.File
	writeFile  = servicetest.WriteFile
)

// schema returns the text that the binary embeds.
var schema = sync.OnceValue(func() string {
	b, err := os.ReadFile("../../schema.graphqls")
	if err != nil {
		panic(err)
	}
	return string(b)
})

// run runs the program in this process.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	return app.Run(ctx, app.Options{Args: args, Environ: environ, Stdout: stdout, Stderr: stderr, Schema: schema()})
}

// instance is a running service in this process.
type instance struct {
	servicetest.Output
	stop  context.CancelFunc
	ended chan error
}

// startApp runs the program with the given flags and settings and waits until it listens. The end of the test
// stops it, and fails if it does not stop cleanly.
func startApp(t *testing.T, args []string, settings ...string) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &instance{Output: servicetest.NewOutput(), stop: cancel, ended: make(chan error, 1)}
	environ := append([]string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "LOG_LEVEL=debug"}, settings...)
	go func() { a.ended <- run(ctx, args, environ, a.Stdout, a.Log) }()
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Errorf("the program ended with: %v", err)
		}
	})
	a.Await(t, a.ended)
	return a
}

// Stop ends the program as a signal would and returns its result. It may be called twice.
func (a *instance) Stop() error {
	a.stop()
	http.DefaultClient.CloseIdleConnections() // or the service waits for them
	select {
	case err := <-a.ended:
		a.ended <- err
		return err
	case <-time.After(30 * time.Second):
		return errors.New("the program does not stop")
	}
}

// startDemo runs the demo and returns its address.
func startDemo(t *testing.T) string {
	t.Helper()
	return startApp(t, []string{"-demo"}).URL
}

// newWorld starts a fake authentik with alice's code 17 and bob's 18, and the service in front of it.
func newWorld(t *testing.T, o upstreamtest.Options, settings ...string) (*fake, *instance) {
	t.Helper()
	up := startFake(t, o)
	later := time.Now().Add(time.Hour)
	up.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Provider: upstreamtest.ProviderGrafana, Expires: later, Scope: []string{"openid", "email"}})
	up.AddCode(upstreamtest.Code{PK: 18, Owner: upstreamtest.UserBob, Provider: upstreamtest.ProviderMobile, Expires: later})
	return up, startApp(t, nil, append([]string{"AUTHENTIK_URL=" + up.URL + o.PathPrefix}, settings...)...)
}

// openService opens a service without listeners. It logs nothing, unless o has a Stderr.
func openService(t testing.TB, o app.Options) *app.Service {
	t.Helper()
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	o.Schema = schema()
	s, err := app.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// direct sends requests to one process with a clock of its own.
type direct struct {
	t       *testing.T
	up      *fake
	service *app.Service
	clock   *cachetest.Clock
	handler http.Handler
}

// openDirect opens a service in front of an authentik with two codes, which live for two and four seconds.
func openDirect(t *testing.T, settings ...string) *direct {
	t.Helper()
	d := newDirect(t, upstreamtest.Options{}, settings...)
	for pk, owner := range map[int32]string{1: upstreamtest.UserAlice, 2: upstreamtest.UserBob} {
		d.up.AddCode(upstreamtest.Code{PK: pk, Owner: owner, Expires: d.clock.Now().Add(time.Duration(pk) * 2 * time.Second)})
	}
	return d
}

// newDirect opens a service in front of an authentik without codes and tokens.
func newDirect(t *testing.T, o upstreamtest.Options, settings ...string) *direct {
	t.Helper()
	d := &direct{t: t, clock: cachetest.NewClock()}
	o.Now = d.clock.Now
	d.up = startFake(t, o)
	d.service = openService(t, app.Options{Environ: append(settings, "AUTHENTIK_URL="+d.up.URL), Now: d.clock.Now})
	d.handler = d.service.Handler()
	return d
}

// ask sends a body as root, with further header lines, and reports whether it got a replayed response.
func (d *direct) ask(body string, header ...string) (got *httptest.ResponseRecorder, replayed bool) {
	d.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+upstreamtest.TokenRoot)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	const replays = `cache_reads_total{level="response",result="hit"}`
	before := d.scrape()[replays]
	got = httptest.NewRecorder()
	d.handler.ServeHTTP(got, r)
	return got, d.scrape()[replays] > before
}

// query sends a document with variables, as JSON, and decodes the response.
func (d *direct) query(token, document, variables string) (r reply) {
	d.t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": json.RawMessage(variables)})
	if err != nil {
		d.t.Fatal(err)
	}
	got, _ := d.ask(string(body), "Authorization: Bearer "+token)
	r.Status, r.Header, r.Body = got.Code, got.Header(), got.Body.Bytes()
	if err := json.Unmarshal(r.Body, &r); err != nil {
		d.t.Fatalf("%v\n%s", err, r.Body)
	}
	return r
}

// providerCalls counts the calls to authentik for providers, and lists of them.
func (d *direct) providerCalls() int {
	return d.up.Calls().ByResource[upstreamtest.Providers].Total
}

// addGrants adds a code and both tokens of alice, with the same primary key, that live for an hour.
func (d *direct) addGrants(pk, provider int32) {
	expires := d.clock.Now().Add(time.Hour)
	d.up.AddCode(upstreamtest.Code{PK: pk, Owner: upstreamtest.UserAlice, Provider: provider, Expires: expires})
	for _, resource := range []upstreamtest.Resource{upstreamtest.AccessTokens, upstreamtest.RefreshTokens} {
		d.up.AddToken(resource, upstreamtest.Token{PK: pk, Owner: upstreamtest.UserAlice, Provider: provider, Expires: expires})
	}
}
