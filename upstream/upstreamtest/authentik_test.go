package upstreamtest_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// start serves the fake until the test ends.
func start(t *testing.T, fake *upstreamtest.Authentik) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	t.Cleanup(fake.Close) // runs first, so that nothing hangs
	return srv
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/json"}}
}

var anHourAhead = time.Now().Add(time.Hour)

// The keys of 2024.12 in the order of its OpenAPI document, but for the two
// assigned_backchannel keys, which no release of that time sends.
func TestKeysOf2024_12(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{Release: upstreamtest.R2024_12})
	pk := fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	srv := start(t, fake)
	if pk != 1 {
		t.Fatalf("pk %d", pk)
	}
	_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"1/", bearer(upstreamtest.TokenAlice))
	code := parse(t, body)
	for _, tt := range []struct {
		name string
		got  node
		want string
	}{
		{"code", code, "pk provider user is_expired expires scope"},
		{"provider", code.items[1], "pk name authentication_flow authorization_flow invalidation_flow property_mappings component" +
			" assigned_application_slug assigned_application_name verbose_name verbose_name_plural meta_model_name client_type" +
			" client_id client_secret access_code_validity access_token_validity refresh_token_validity include_claims_in_id_token" +
			" signing_key encryption_key redirect_uris sub_mode issuer_mode jwt_federation_sources jwt_federation_providers"},
		{"user", code.items[2], "pk username name is_active last_login is_superuser groups groups_obj email avatar attributes uid path type uuid"},
		{"group", code.items[2].items[7].items[0], "pk num_pk name is_superuser parent parent_name attributes"},
	} {
		if got := strings.Join(tt.got.keys, " "); got != tt.want {
			t.Errorf("%s:\n got  %s\n want %s", tt.name, got, tt.want)
		}
	}
}

// What clients stumble over is really there.
func TestAttributes(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	srv := start(t, fake)
	_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"1/", bearer(upstreamtest.TokenAlice))
	for _, want := range []string{`"badge":9007199254740993,`, `"none":null`, `"empty":{}`, `"deep":"ümläut"`, `"avatar":"data:image/svg+xml;base64,`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	clock := now
	for _, tt := range []struct {
		name        string
		code        upstreamtest.Code
		at          time.Time
		wantExpires any
		wantExpired bool
	}{
		{"before", upstreamtest.Code{Expires: now.Add(time.Minute)}, now, "2026-03-01T12:01:00Z", false},
		{"after", upstreamtest.Code{Expires: now.Add(time.Minute)}, now.Add(61 * time.Second), "2026-03-01T12:01:00Z", true},
		{"fraction", upstreamtest.Code{Expires: now.Add(1500 * time.Microsecond)}, now, "2026-03-01T12:00:00.001500Z", false},
		{"not expiring", upstreamtest.Code{Expires: now, NeverExpires: true}, now.Add(time.Hour), "2026-03-01T12:00:00Z", false},
		{"null", upstreamtest.Code{}, now, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := upstreamtest.New(upstreamtest.Options{Now: func() time.Time { return clock }})
			tt.code.Owner = upstreamtest.UserBob
			fake.AddCode(tt.code)
			clock = tt.at
			srv := start(t, fake)
			_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"1/", bearer(upstreamtest.TokenBob))
			var got struct {
				Expires   any  `json:"expires"`
				IsExpired bool `json:"is_expired"`
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if got.Expires != tt.wantExpires || got.IsExpired != tt.wantExpired {
				t.Errorf("got %v, want %v and %v", got, tt.wantExpires, tt.wantExpired)
			}
		})
	}
}

func TestPathPrefix(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{PathPrefix: "/auth"})
	fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	srv := start(t, fake)
	for path, want := range map[string]int{
		"/auth" + upstreamtest.Path + "1/": http.StatusOK,
		"/auth/-/health/ready/":            http.StatusOK,
		upstreamtest.Path + "1/":           http.StatusNotFound,
		"/-/health/ready/":                 http.StatusNotFound,
	} {
		if status, _, _ := send(t, http.MethodGet, srv.URL+path, bearer(upstreamtest.TokenAlice)); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestTwoAuthorizationHeaders(t *testing.T) {
	srv := start(t, upstreamtest.New(upstreamtest.Options{}))
	h := bearer(upstreamtest.TokenAlice)
	h.Add("Authorization", "Bearer "+upstreamtest.TokenRoot)
	if status, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path, h); status != http.StatusForbidden {
		t.Errorf("%d %s", status, body)
	}
}

func TestCompression(t *testing.T) {
	for release, want := range map[upstreamtest.Release]string{upstreamtest.R2024_8: "", upstreamtest.R2026_2: "gzip", upstreamtest.R2026_8: ""} {
		t.Run(string(release), func(t *testing.T) {
			fake := upstreamtest.New(upstreamtest.Options{Release: release})
			fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
			srv := start(t, fake)
			h := bearer(upstreamtest.TokenAlice)
			h.Set("Accept-Encoding", "gzip")
			_, got, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"1/", h)
			if got.Get("Content-Encoding") != want {
				t.Fatalf("Content-Encoding %q, want %q", got.Get("Content-Encoding"), want)
			}
			if want == "gzip" {
				z, err := gzip.NewReader(strings.NewReader(string(body)))
				if err != nil {
					t.Fatal(err)
				}
				if body, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			parse(t, body)
		})
	}
}

func TestCounts(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	fake := upstreamtest.New(upstreamtest.Options{OnRequest: func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
	}})
	srv := start(t, fake)
	for _, call := range []struct{ method, path string }{
		{"GET", "1/"}, {"GET", "01/"}, {"HEAD", "1/"}, {"GET", "2/"}, {"GET", ""}, {"DELETE", "1/"}, {"PUT", "1/"}, {"GET", "1"}, {"FROB", "1/"},
	} {
		send(t, call.method, srv.URL+upstreamtest.Path+call.path, bearer(upstreamtest.TokenAlice))
	}
	send(t, http.MethodGet, srv.URL+"/-/health/ready/", nil)

	got := fake.Calls()
	if got.Total != 8 || got.Retrieve != 4 || got.List != 1 || got.Delete != 1 {
		t.Errorf("counts %+v", got)
	}
	if got.ByMethod["GET"] != 4 || got.ByMethod["HEAD"] != 1 || got.ByMethod["other"] != 1 {
		t.Errorf("by method %v", got.ByMethod)
	}
	if fake.Retrieves(1) != 3 || fake.Retrieves(2) != 1 || fake.Retrieves(3) != 0 {
		t.Errorf("retrieves %d %d %d", fake.Retrieves(1), fake.Retrieves(2), fake.Retrieves(3))
	}
	fake.ResetCalls()
	if got := fake.Calls(); got.Total != 0 || len(got.ByResource) != 0 || len(got.ByMethod) != 0 || fake.Retrieves(1) != 0 {
		t.Errorf("after reset %+v", got)
	}
	if want := "GET " + upstreamtest.Path + "1/ Bearer " + upstreamtest.TokenAlice; len(seen) != 10 || seen[0] != want {
		t.Errorf("seen %q", seen)
	}
}

// An id is given once, whatever becomes of its row.
func TestIDsAreNotReused(t *testing.T) {
	fake := upstreamtest.New(upstreamtest.Options{})
	first := fake.AddCode(upstreamtest.Code{PK: 40, Owner: upstreamtest.UserAlice})
	fake.RemoveCode(first)
	second := fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice})
	if _, ok := fake.Code(40); ok || second != 41 {
		t.Errorf("second id %d, row 40 there: %v", second, ok)
	}
}

// The router cleans paths by a redirect; the server of 2026.8 passes them on.
func TestUncleanPath(t *testing.T) {
	for release, want := range map[upstreamtest.Release]int{upstreamtest.R2026_2_3: http.StatusMovedPermanently, upstreamtest.R2026_8: http.StatusNotFound} {
		srv := start(t, upstreamtest.New(upstreamtest.Options{Release: release}))
		status, _, _ := send(t, http.MethodGet, srv.URL+"/api/v3/oauth2//authorization_codes/1/", bearer(upstreamtest.TokenAlice))
		if status != want {
			t.Errorf("%s: %d, want %d", release, status, want)
		}
	}
}
