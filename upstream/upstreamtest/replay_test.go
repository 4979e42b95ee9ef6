package upstreamtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// recording is one exchange with a real authentik. Long lists were cut to their
// first row, the texts of pages left out, and the ids of users set to the fake's.
type recording struct {
	Case    string
	Request struct {
		Method, Path string
		Headers      map[string]string
	}
	Response struct {
		Status  int
		Headers map[string]any
		Body    json.RawMessage
	}
}

// TestReplay sends every recorded request to the fake and compares: status and
// headers exactly, errors byte for byte, rows and lists by the names, order and
// kinds of their keys, since fake and recording tell of different worlds.
func TestReplay(t *testing.T) {
	for _, release := range upstreamtest.Releases() {
		if !recorded(release) {
			continue
		}
		t.Run(string(release), func(t *testing.T) {
			for _, rec := range readRecordings(t, release) {
				t.Run(rec.Case, func(t *testing.T) { replay(t, release, rec) })
			}
		})
	}
}

// recorded reports whether testdata has recordings of a release. 2024.12 has none,
// see TestKeysOf2024_12; others differ from a recorded one by what is tested apart.
func recorded(release upstreamtest.Release) bool {
	switch release {
	case upstreamtest.R2024_12, upstreamtest.R2025_12_5, upstreamtest.R2026_2_3, upstreamtest.R2026_8:
		return false
	default:
		return true
	}
}

func readRecordings(t *testing.T, release upstreamtest.Release) []recording {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", string(release)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recording
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d recordings", len(all))
	}
	return all
}

func replay(t *testing.T, release upstreamtest.Release, rec recording) {
	t.Helper()
	fake := recordedWorld(release, rec.Case)
	srv := httptest.NewServer(fake)
	defer srv.Close()
	headers := http.Header{}
	for name, value := range rec.Request.Headers {
		headers.Set(name, tokens.Replace(value))
	}
	method, url := rec.Request.Method, srv.URL+rec.Request.Path
	if strings.HasSuffix(rec.Case, "-repeat") {
		send(t, method, url, headers)
	}
	status, got, body := send(t, method, url, headers)

	if status != rec.Response.Status {
		t.Fatalf("status %d, recorded %d; body %.200s", status, rec.Response.Status, body)
	}
	compareHeaders(t, got, rec)
	recorded := rec.Response.Body
	switch {
	case recorded == nil:
		// HEAD, a page whose text was not kept, or nothing.
	case status >= 400:
		var compact bytes.Buffer
		if err := json.Compact(&compact, recorded); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(body, compact.Bytes()) {
			t.Errorf("body %s, recorded %s", body, compact.Bytes())
		}
	case method == http.MethodOptions:
		// The recording lacks the description.
	default:
		compareShape(t, "", parse(t, body), parse(t, recorded))
	}
}

// tokens translates the tokens of the recordings. Those not named were not
// known to the recorded server either.
var tokens = strings.NewReplacer(
	"root-admin-token", upstreamtest.TokenRoot,
	"viewer-token", upstreamtest.TokenDave,
	"editor-token", upstreamtest.TokenDave,
	"svc-token", upstreamtest.TokenDave,
	"(JWT of client_credentials of client-machine)", upstreamtest.TokenBob,
	"alice-token", upstreamtest.TokenAlice,
	"bob-token", upstreamtest.TokenBob,
	"admin-token", upstreamtest.TokenRoot,
	"dave-token", upstreamtest.TokenDave,
	"perm-token", upstreamtest.TokenDave,
)

// recordedWorld holds rows under the ids that the recordings use. Owners and
// providers are the like of those recorded.
func recordedWorld(release upstreamtest.Release, name string) *upstreamtest.Authentik {
	const alice, bob, dave, root = upstreamtest.UserAlice, upstreamtest.UserBob, upstreamtest.UserDave, upstreamtest.UserRoot
	live := time.Now().Add(time.Hour).Truncate(time.Second).Add(123456 * time.Microsecond)
	past := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	scope := []string{"openid", "email", "profile"}
	rows := []upstreamtest.Code{
		{PK: 1, Owner: alice, Expires: live},
		{PK: 2, Owner: alice, Expires: past},
		{PK: 11, Owner: alice, Expires: live},
		{PK: 12, Owner: bob, Expires: live},
	}
	switch release {
	case upstreamtest.R2023_10, upstreamtest.R2024_8:
		rows = append(rows,
			upstreamtest.Code{PK: 4, Owner: bob, Expires: live},
			upstreamtest.Code{PK: 7, Owner: alice, Provider: upstreamtest.ProviderOrphan, Expires: live},
			upstreamtest.Code{PK: 10, Owner: alice, Expires: past, NeverExpires: true},
			upstreamtest.Code{PK: 16, Owner: dave, Expires: live},
		)
		if strings.Contains(name, "null-expires") {
			rows = append(rows, upstreamtest.Code{PK: 3, Owner: alice, NeverExpires: !strings.Contains(name, "expiring-true")})
		}
	case upstreamtest.R2026_5:
		rows = append(rows,
			upstreamtest.Code{PK: 3, Owner: alice},
			upstreamtest.Code{PK: 4, Owner: alice, Expires: past, NeverExpires: true},
			upstreamtest.Code{PK: 5, Owner: alice, Provider: upstreamtest.ProviderOrphan, Expires: live},
			upstreamtest.Code{PK: 6, Owner: alice, Provider: upstreamtest.ProviderMobile, Expires: live},
			upstreamtest.Code{PK: 7, Owner: alice, Expires: live},
			upstreamtest.Code{PK: 8, Owner: bob, Expires: live},
			upstreamtest.Code{PK: 9, Owner: root, Expires: live},
			upstreamtest.Code{PK: 10, Owner: bob, Expires: live},
			upstreamtest.Code{PK: 11, Owner: dave, Expires: live},
			upstreamtest.Code{PK: 25, Owner: bob, Expires: live},
			upstreamtest.Code{PK: 72, Owner: dave, Expires: live},
			upstreamtest.Code{PK: 73, Owner: bob, Expires: live},
		)
	default:
		rows = append(rows,
			upstreamtest.Code{PK: 3, Owner: alice},
			upstreamtest.Code{PK: 4, Owner: alice, Provider: upstreamtest.ProviderMobile, Expires: live},
			upstreamtest.Code{PK: 5, Owner: alice, Provider: upstreamtest.ProviderOrphan, Expires: live},
			upstreamtest.Code{PK: 6, Owner: bob, Expires: live},
			upstreamtest.Code{PK: 7, Owner: root, Expires: live},
			upstreamtest.Code{PK: 9, Owner: dave, Expires: live},
			upstreamtest.Code{PK: 10, Owner: dave, Expires: live},
		)
	}
	fake := upstreamtest.New(upstreamtest.Options{Release: release, Permissions: recordedPermissions(name)})
	for _, name := range []string{"machine", "wiki proxy"} {
		fake.AddProvider(upstreamtest.Provider{Name: name, Application: name})
	}
	for _, row := range rows {
		row.Scope = scope
		fake.AddCode(row)
	}
	for _, resource := range []upstreamtest.Resource{upstreamtest.AccessTokens, upstreamtest.RefreshTokens} {
		for _, token := range recordedTokens(release, live, past) {
			token.Scope = scope
			fake.AddToken(resource, token)
		}
	}
	for pk := range int32(110) { // for a second page, whatever the default size
		fake.AddCode(upstreamtest.Code{PK: 1000 + pk, Owner: bob, Expires: live, Scope: scope})
	}
	return fake
}

// recordedTokens are the tokens of either kind.
func recordedTokens(release upstreamtest.Release, live, past time.Time) []upstreamtest.Token {
	const alice, bob, dave = upstreamtest.UserAlice, upstreamtest.UserBob, upstreamtest.UserDave
	if release != upstreamtest.R2026_5 {
		return []upstreamtest.Token{
			{PK: 1, Owner: alice, Expires: live}, {PK: 2, Owner: bob, Expires: live}, {PK: 3, Owner: alice, Expires: live},
		}
	}
	return []upstreamtest.Token{
		{PK: 1, Owner: alice, Expires: live},
		{PK: 2, Owner: alice, Expires: live, Revoked: true},
		{PK: 3, Owner: alice, Expires: past},
		{PK: 4, Owner: bob, Expires: live},
		{PK: 5, Owner: alice, Provider: upstreamtest.ProviderMobile, Expires: live},
		{PK: 6, Owner: alice, Expires: live},
		{PK: 7, Owner: dave, Expires: live},
	}
}

// recordedPermissions are those that the caller of a recording held to see providers.
func recordedPermissions(name string) map[string][]string {
	switch {
	case strings.HasSuffix(name, "-as-viewer"), strings.HasPrefix(name, "provider") && strings.HasSuffix(name, "-editor"):
		return map[string][]string{upstreamtest.UserDave: {upstreamtest.ViewProvider}}
	case strings.HasPrefix(name, "object-permission-") && strings.HasSuffix(name, "-as-bob"):
		return map[string][]string{upstreamtest.UserBob: {upstreamtest.ViewProvider + ":2"}}
	default:
		return nil
	}
}

// send makes one request as it is told to, redirects and compression aside.
func send(t *testing.T, method, url string, headers http.Header) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers
	client := http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

func compareHeaders(t *testing.T, got http.Header, rec recording) {
	t.Helper()
	if strings.HasPrefix(got.Get("Content-Type"), "application/json") && len(got.Get("X-authentik-id")) != 32 {
		t.Errorf("X-authentik-id: %q", got.Get("X-authentik-id"))
	}
	for _, name := range []string{"content-type", "allow", "vary", "content-language", "x-powered-by", "location"} {
		var want []string
		switch v := rec.Response.Headers[name].(type) {
		case string:
			want = []string{v}
		case []any:
			for _, line := range v {
				want = append(want, line.(string))
			}
		}
		if !slices.Equal(got.Values(name), want) {
			t.Errorf("%s: %q, recorded %q", name, got.Values(name), want)
		}
	}
}
