package upstreamtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// TestVersion: every release tells its version to each user, whatever their rights, and to nobody else.
func TestVersion(t *testing.T) {
	for _, release := range upstreamtest.Releases() {
		srv := httptest.NewServer(upstreamtest.New(upstreamtest.Options{Release: release}))
		defer srv.Close()
		for name, tt := range map[string]struct {
			method, token string
			want          int
		}{
			"a user":      {"GET", upstreamtest.TokenAlice, 200},
			"a superuser": {"GET", upstreamtest.TokenRoot, 200},
			"nobody":      {"GET", "", 403},
			"a stranger":  {"GET", "t0k3n", 403},
			"a change":    {"POST", upstreamtest.TokenRoot, 405},
		} {
			status, _, body := send(t, tt.method, srv.URL+"/api/v3/admin/version/", http.Header{"Authorization": {"Bearer " + tt.token}})
			var got struct {
				Version string `json:"version_current"`
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			told := strings.HasPrefix(got.Version+".", string(release)+".")
			if status != tt.want || told != (tt.want == 200) {
				t.Errorf("%s, %s: %d %s", release, name, status, body)
			}
		}
	}
}
