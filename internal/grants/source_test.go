package grants

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// newSource makes a Source of a fake authentik, with a codec and a cache in memory.
func newSource(t *testing.T, authentik http.Handler, codec cache.Codec[Value]) *Source {
	t.Helper()
	srv := httptest.NewServer(authentik)
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	memory, err := cache.NewMemory(1<<20, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := cache.New(cache.Options{Policy: cache.Policy{TTL: time.Hour}, LoadTimeout: time.Minute, Classify: Classify, Now: time.Now}, codec, memory, nil)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	client := upstream.NewClient(upstream.Options{BaseURL: base, Timeout: 10 * time.Second, Logger: log})
	t.Cleanup(client.Close)
	return NewSource(Options{Cache: c, Client: client, Concurrency: 8, Logger: log, Now: time.Now})
}

// callerOf is the bearer of a token.
func callerOf(token string) Caller {
	cred := upstream.NewCredential(token)
	return Caller{Credential: cred, Digest: upstream.NewDigester([]byte("key")).Digest(cred)}
}

// TestRevokeWithoutTheCaller checks that a revocation is carried through when its caller leaves. Half of it
// would leave the revoked grant in the caches.
func TestRevokeWithoutTheCaller(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	t.Cleanup(up.Close)
	const pk = 1000
	up.AddCode(upstreamtest.Code{PK: pk, Owner: upstreamtest.UserDave, Expires: time.Now().Add(time.Hour)})
	source := newSource(t, up, Codec)
	root, dave := callerOf(upstreamtest.TokenRoot), callerOf(upstreamtest.TokenDave)
	if _, err := source.Grant(t.Context(), root, upstream.AuthorizationCodes, pk); err != nil {
		t.Fatal(err)
	}
	left, leave := context.WithCancel(t.Context())
	up.SetFault(pk, upstreamtest.Fault{Name: "the caller leaves", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodDelete {
			leave()
		}
		next.ServeHTTP(w, r)
	}})
	if done, err := source.Revoke(left, dave, upstream.AuthorizationCodes, pk); err != nil || done.OutcomeUnknown {
		t.Errorf("outcome unknown: %t, error %v", done.OutcomeUnknown, err)
	}
	if _, err := source.Grant(t.Context(), root, upstream.AuthorizationCodes, pk); err == nil {
		t.Error("it is shown from the cache")
	}
	if n := up.Calls(); n.Delete != 1 || n.Retrieve != 1 {
		t.Errorf("%d DELETEs and %d GETs, want one of each", n.Delete, n.Retrieve)
	}
}

// TestCodec checks that values of each kind are restored as they were, and that anything else is an error.
func TestCodec(t *testing.T) {
	for name, v := range map[string]Value{
		"a grant":    &upstream.Grant{PK: 1, Scope: []string{"openid"}},
		"a list":     &upstream.Rows{Rows: []*upstream.Grant{{PK: 1, Scope: []string{}}}, Count: 1},
		"a provider": provider{Provider: &upstream.Provider{PK: 1}},
		"a refusal":  provider{Refusal: &upstream.Error{Kind: upstream.Forbidden, Status: 403}},
	} {
		if got, err := Codec.Decode(string(Codec.Encode(nil, v))); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	for _, stored := range []string{"", "{}", "?{}", "p", "p{}", "pnull", "r", "r{", string(Codec.Encode(nil, "a text"))} {
		if got, err := Codec.Decode(stored); err == nil {
			t.Errorf("%q: got %v", stored, got)
		}
	}
}

// TestAnotherResource reads a resource that is no grant. It takes an endpoint of authentik and a codec.
func TestAnotherResource(t *testing.T) {
	type provider struct{ name string }
	endpoint := upstream.Endpoint[*provider]{
		Path: "/api/v3/providers/oauth2/1/",
		Decode: func(body []byte, _ time.Time) (*provider, []string, error) {
			return &provider{string(body)}, nil, nil
		},
	}
	codec := cache.Codec[Value]{
		Encode: func(b []byte, v Value) []byte { return append(b, v.(*provider).name...) },
		Decode: func(stored string) (Value, error) { return &provider{stored}, nil },
	}
	source, caller := newSource(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`"grafana"`))
	}), codec), callerOf("token")
	key, err := cache.NewKey(caller.Digest, "providers", 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, cached := range []bool{false, true} {
		got, err := read[*provider](t.Context(), source, key, func(ctx context.Context) (cache.Entry[Value], error) {
			answer, err := call(ctx, source, caller, func() (upstream.Answer[*provider], error) {
				return upstream.Fetch(ctx, source.Client, caller.Credential, endpoint)
			})
			return cache.Entry[Value]{Value: answer.Value, FetchedAt: answer.FetchedAt}, err
		})
		if err != nil || got.Value.name != `"grafana"` || got.Cached != cached {
			t.Errorf("got %+v, %v, want one that is cached: %t", got, err, cached)
		}
	}
}
