package grants

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// pks are the primary keys from 1 to n.
func pks(n int) (all []upstream.PK) {
	for i := range n {
		all = append(all, upstream.PK(i+1))
	}
	return all
}

// describe is the outcome of reads, one letter each: v for a value, f for forbidden, n for not found, e for any
// other error.
func describe(reads []ProviderRead, all []upstream.PK) string {
	var b strings.Builder
	for i, r := range reads {
		switch {
		case r.Err != nil && r.Refusal == nil && r.Value == nil && r.FreshUntil.IsZero():
			b.WriteByte('e')
		case r.Err != nil || r.FreshUntil.IsZero():
			b.WriteByte('?')
		case r.Refusal == nil && r.Value.PK == all[i]:
			b.WriteByte('v')
		case r.Refusal != nil && r.Refusal.Kind == upstream.Forbidden && r.Refusal.Status == http.StatusForbidden:
			b.WriteByte('f')
		case r.Refusal != nil && r.Refusal.Kind == upstream.NotFound && r.Refusal.Status == http.StatusNotFound:
			b.WriteByte('n')
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// TestProviders reads providers, one by one or by a list, and then again from the cache.
func TestProviders(t *testing.T) {
	failing := upstreamtest.Fault{Name: "an error", Serve: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusInternalServerError)
	}}
	for _, tt := range []struct {
		name           string
		token          string
		providers      int // beside the three of the world
		read           []upstream.PK
		fault          int32 // the provider that fails, 0 for none
		want           string
		singly, lists  int
		again, relists int // calls of a second read
	}{
		{"none", upstreamtest.TokenRoot, 0, nil, 0, "", 0, 0, 0, 0},
		{"five", upstreamtest.TokenRoot, 9, pks(5), 0, "vvvvv", 5, 0, 0, 0},
		{"six", upstreamtest.TokenRoot, 9, pks(6), 0, "vvvvvv", 0, 1, 0, 0},
		{"twelve", upstreamtest.TokenRoot, 9, pks(12), 0, strings.Repeat("v", 12), 0, 1, 0, 0},
		{"some do not exist", upstreamtest.TokenRoot, 0, pks(7), 0, "vvvnnnn", 0, 1, 0, 0},
		{"one does not exist", upstreamtest.TokenRoot, 0, pks(4), 0, "vvvn", 4, 0, 0, 0},
		{"five are refused", upstreamtest.TokenAlice, 9, pks(5), 0, "fffff", 5, 0, 0, 0},
		{"six are refused", upstreamtest.TokenAlice, 9, pks(6), 0, "ffffff", 0, 1, 0, 0},
		{"only one may be viewed", upstreamtest.TokenBob, 9, pks(6), 0, "nvnnnn", 0, 1, 0, 0},
		{"one fails", upstreamtest.TokenRoot, 9, pks(3), 2, "vev", 3, 0, 0, 0},
		// authentik lists providers by name: 97 to 99 are last.
		{"beyond the first page", upstreamtest.TokenRoot, 100, []upstream.PK{1, 2, 3, 50, 97, 98, 99, 103}, 0, "vvvvvvvv", 3, 1, 0, 0},
		{"beyond the first page, unknown", upstreamtest.TokenRoot, 100, []upstream.PK{1, 2, 3, 4, 5, 99, 999}, 0, "vvvvvvn", 2, 1, 0, 0},
		{"a token that is not accepted", "invented", 0, pks(6), 0, "eeeeee", 0, 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := upstreamtest.New(upstreamtest.Options{
				Release:     upstreamtest.R2026_8,
				Permissions: map[string][]string{upstreamtest.UserBob: {upstreamtest.ViewProvider + ":2"}},
			})
			t.Cleanup(up.Close)
			for range tt.providers {
				up.AddProvider(upstreamtest.Provider{})
			}
			if tt.fault > 0 {
				up.SetResourceFault(upstreamtest.Providers, tt.fault, failing)
			}
			source, caller := newSource(t, up, Codec), callerOf(tt.token)
			for i, want := range []struct{ singly, lists int }{{tt.singly, tt.lists}, {tt.again, tt.relists}} {
				up.ResetCalls()
				reads := source.Providers(t.Context(), caller, tt.read)
				if got := describe(reads, tt.read); got != tt.want {
					t.Errorf("read %d gives %s, want %s", i, got, tt.want)
				}
				calls := up.Calls().ByResource[upstreamtest.Providers]
				if calls.Retrieve != want.singly || calls.List != want.lists {
					t.Errorf("read %d: %d GETs and %d lists, want %d and %d", i, calls.Retrieve, calls.List, want.singly, want.lists)
				}
				for j, r := range reads {
					if r.FreshUntil.IsZero() == (tt.want[j] != 'e') || r.Cached != (i == 1 && tt.want[j] != 'e') {
						t.Errorf("read %d of %d: %+v", i, tt.read[j], r.Freshness)
					}
				}
			}
		})
	}
}

// TestProvidersOfTheList finds those of a list in the cache that no read had asked for.
func TestProvidersOfTheList(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	t.Cleanup(up.Close)
	for range 9 {
		up.AddProvider(upstreamtest.Provider{})
	}
	source, root := newSource(t, up, Codec), callerOf(upstreamtest.TokenRoot)
	source.Providers(t.Context(), root, pks(6))
	up.ResetCalls()
	all := pks(12)
	if got := describe(source.Providers(t.Context(), root, all), all); got != strings.Repeat("v", 12) {
		t.Errorf("got %s", got)
	}
	if n := up.Calls().Total; n > 0 {
		t.Errorf("%d calls", n)
	}
	if r, ok := source.CachedProvider(t.Context(), root, 12); !ok || r.Err != nil || r.Value.PK != 12 {
		t.Errorf("got %v, %t", r, ok)
	}
	if r, ok := source.CachedProvider(t.Context(), callerOf(upstreamtest.TokenAlice), 12); ok {
		t.Errorf("another caller got %v", r)
	}
}

// TestProvidersAreRedacted redacts what is read by itself and what is in a list.
func TestProvidersAreRedacted(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	t.Cleanup(up.Close)
	for range 9 {
		up.AddProvider(upstreamtest.Provider{RedirectURIs: []string{"https://app.example.com/"}})
	}
	source, root := newSource(t, up, Codec), callerOf(upstreamtest.TokenRoot)
	var err error
	if source.Redaction, err = ParseRedaction([]string{"OAuth2Provider.subMode", "RedirectURI.url"}); err != nil {
		t.Fatal(err)
	}
	for _, all := range [][]upstream.PK{{12}, pks(7), {11}} {
		for _, r := range source.Providers(t.Context(), root, all) {
			p := r.Value
			if r.Err != nil || p.ClientSecret != nil || p.SubMode != nil || p.ClientID == nil {
				t.Fatalf("%v: %v, secret %v", all, r.Err, p)
			}
			if slices.ContainsFunc(p.RedirectURIs, func(u upstream.RedirectURI) bool { return u.URL != nil }) {
				t.Errorf("%v: an URL is shown", all)
			}
		}
	}
	if got := fmt.Sprint(source.Redaction.Covers("OAuth2Provider.clientSecret"), source.Redaction.Covers("OAuth2Provider.clientId"), Redaction{}.Covers("")); got != "true false false" {
		t.Errorf("covers: %s", got)
	}
}

// TestListThatCannotBeUsed reads providers one by one where their list is not what authentik sends.
func TestListThatCannotBeUsed(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	t.Cleanup(up.Close)
	for range 9 {
		up.AddProvider(upstreamtest.Provider{})
	}
	up.SetListFault(upstreamtest.Providers, upstreamtest.HTML200)
	source, root := newSource(t, up, Codec), callerOf(upstreamtest.TokenRoot)
	if got := describe(source.Providers(t.Context(), root, pks(7)), pks(7)); got != "vvvvvvv" {
		t.Errorf("got %s", got)
	}
	if calls := up.Calls().ByResource[upstreamtest.Providers]; calls.List != 1 || calls.Retrieve != 7 {
		t.Errorf("%+v", calls)
	}
}

// TestProvidersAtOnce checks how many calls run at a time, even those whose caller has left.
func TestProvidersAtOnce(t *testing.T) {
	var running, most atomic.Int64
	full, release := make(chan struct{}), make(chan struct{})
	source := newSource(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.RawQuery != "" {
			_, _ = w.Write([]byte(`{"pagination":{"next":2},"results":[]}`))
			return
		}
		n := running.Add(1)
		defer running.Add(-1)
		most.Store(max(most.Load(), n))
		if n == maxProvidersAtOnce {
			close(full)
		}
		<-release
		_, _ = w.Write([]byte(`{"pk":` + path.Base(r.URL.Path) + `}`))
	}), Codec)
	root := callerOf("token")
	source.admission.record(root.Digest, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-full; cancel() }()
	reads := source.Providers(ctx, root, pks(40))
	for i, r := range reads {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("read %d: %v", i, r.Err)
		}
	}
	close(release)
	if got := describe(source.Providers(t.Context(), root, pks(40)), pks(40)); got != strings.Repeat("v", 40) {
		t.Errorf("got %s", got)
	}
	if n := most.Load(); n != maxProvidersAtOnce {
		t.Errorf("%d calls at a time", n)
	}
}

// TestProvidersPanic gives an error for a provider whose stored value makes the codec panic.
func TestProvidersPanic(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	t.Cleanup(up.Close)
	codec := Codec
	codec.Decode = func(string) (Value, error) { panic("a panic") }
	source, root := newSource(t, up, codec), callerOf(upstreamtest.TokenRoot)
	for _, want := range []string{"vv", "ee"} {
		if got := describe(source.Providers(t.Context(), root, pks(2)), pks(2)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestRedactedIsNotStored looks for redacted fields in all that is stored, in memory as in Redis: of providers that are
// read one by one, by a list and beyond its first page, and of grants.
func TestRedactedIsNotStored(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2026_8})
	t.Cleanup(up.Close)
	for range 120 {
		pk := up.AddProvider(upstreamtest.Provider{RedirectURIs: []string{"https://redirect.example.com/"}})
		up.AddToken(upstreamtest.AccessTokens, upstreamtest.Token{Owner: upstreamtest.UserAlice, Provider: pk, NeverExpires: true})
	}
	var mu sync.Mutex
	var stored []string
	codec := Codec
	codec.Encode = func(b []byte, v Value) []byte {
		encoded := Codec.Encode(nil, v)
		mu.Lock()
		defer mu.Unlock()
		stored = append(stored, string(encoded))
		return append(b, encoded...)
	}
	source, root := newSource(t, up, codec), callerOf(upstreamtest.TokenRoot)
	for _, tt := range []struct {
		redact        []string
		texts, others []string // that must not be stored, and that are
	}{
		{nil, []string{"secret-"}, []string{"client-12", "https://redirect.", "_audience", `"id_token":`}},
		{[]string{"none", "OAuth2Provider.clientId"}, []string{`"client_id":`, "_audience"}, []string{"secret-12", "https://redirect.", `"id_token":`}},
		{[]string{"RedirectURI.url", "AccessToken.claims"}, []string{"secret-", "https://redirect.", "_audience", `"id_token":`}, []string{"client-12"}},
		{[]string{"OAuth2Provider.redirectUris", "OAuth2Provider.subMode"}, []string{"redirect_uris", "hashed_user_id"}, []string{"client-12"}},
	} {
		t.Run(fmt.Sprint(tt.redact), func(t *testing.T) {
			var err error
			if source.Redaction, err = ParseRedaction(tt.redact); err != nil {
				t.Fatal(err)
			}
			source.variant, stored = source.Redaction.String(), nil // as of a process with other settings
			for _, all := range [][]upstream.PK{{12}, append(pks(5), 96, 97, 98, 99), {13}} {
				for _, r := range source.Providers(t.Context(), root, all) {
					if r.Err != nil || r.Refusal != nil {
						t.Fatalf("%v: %v, %v", all, r.Err, r.Refusal)
					}
				}
			}
			if _, err := source.Grant(t.Context(), root, upstream.AccessTokens, 12); err != nil {
				t.Fatal(err)
			}
			if _, err := source.List(t.Context(), root, upstream.AccessTokens, upstream.Query{First: 20, MaxCalls: 9}); err != nil {
				t.Fatal(err)
			}
			if len(stored) < 100 { // those of the list that nobody asked for are stored too
				t.Errorf("%d values are stored", len(stored))
			}
			all := strings.Join(stored, "\n")
			for _, text := range tt.texts {
				if i := strings.Index(all, text); i >= 0 {
					t.Errorf("%q is stored: %s", text, all[max(0, i-100):min(len(all), i+100)])
				}
			}
			for _, text := range tt.others {
				if !strings.Contains(all, text) {
					t.Errorf("%q is not stored", text)
				}
			}
		})
	}
}
