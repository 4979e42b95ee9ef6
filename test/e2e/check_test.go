package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// TestCheckRelease: -check names authentik's version and what is to be said against it, and reports whether the
// token may view providers. None of this makes it fail.
func TestCheckRelease(t *testing.T) {
	t.Parallel()
	const (
		grants  = "CVE-2026-40166: any user may read the client secret of each provider that they hold a code or token of; upgrade to 2026.2.7\n"
		viewers = "GHSA-m9h4-7j9c-55x9: whoever may view a provider may read its client secret; upgrade to "
		may     = "providers  ok, the token may view them, or some of them\n"
		mayNot  = "providers  WARNING  the token may not view them: "
		always  = "providers  ok, the token may not view them, but this release shows them in each code and token\n"
		unknown = "version    not known, nor whether it has published holes: authentik tells it to tokens alone, and AUTHENTIK_TOKEN_FILE is not set\nproviders  not known: "
	)
	told := func(version string) string { return `{"version_current":"` + version + `"}` }
	tests := []struct {
		name        string
		release     upstreamtest.Release
		token       string // empty for no token of the service's
		permissions []string
		answer      string // in place of authentik's version, empty for its own, page for a 404
		want        string
	}{
		{"2026.8, superuser", upstreamtest.R2026_8, upstreamtest.TokenRoot, nil, "", "version    ok, 2026.8.5\n" + may},
		{"2026.8, user", upstreamtest.R2026_8, upstreamtest.TokenAlice, nil, "", "version    ok, 2026.8.5\n" + mayNot},
		{"2026.8, viewer", upstreamtest.R2026_8, upstreamtest.TokenAlice, []string{upstreamtest.ViewProvider}, "", "version    ok, 2026.8.5\n" + may},
		{"2026.8, viewer of one", upstreamtest.R2026_8, upstreamtest.TokenAlice, []string{upstreamtest.ViewProvider + ":1"}, "", "version    ok, 2026.8.5\n" + may},
		{"2026.8, no token", upstreamtest.R2026_8, "", nil, "", unknown},
		{"2026.5, candidate", upstreamtest.R2026_5, upstreamtest.TokenRoot, nil, "", "version    WARNING  2026.5.0-rc1 has " + viewers + "2026.5.7\n" + may},
		{"2026.2.3, user", upstreamtest.R2026_2_3, upstreamtest.TokenAlice, nil, "", "version    WARNING  2026.2.3 has " + viewers + "2026.2.7\n" + mayNot},
		{"2026.2.2, user", upstreamtest.R2026_2, upstreamtest.TokenAlice, nil, "", "version    WARNING  2026.2.2 has " + grants + "version    WARNING  2026.2.2 has " + viewers + "2026.2.7\n" + always},
		{"2023.10, superuser", upstreamtest.R2023_10, upstreamtest.TokenRoot, nil, "", "version    WARNING  2023.10.7 has CVE-2024-42490: "},
		{"newer", upstreamtest.R2026_8, upstreamtest.TokenRoot, nil, told("2027.2.1"), "version    WARNING  2027.2.1 is newer than 2026.8, the newest that is tested\n" + may},
		{"older", upstreamtest.R2023_10, upstreamtest.TokenRoot, nil, told("2023.8.3"), "version    WARNING  2023.8.3 is older than 2023.10, the oldest that is supported\n"},
		{"unknown form", upstreamtest.R2026_8, upstreamtest.TokenAlice, nil, told("main"), `version    WARNING  "main" is not the form of a release, so that nothing is known of it` + "\n" + mayNot},
		{"hidden", upstreamtest.R2026_8, upstreamtest.TokenAlice, nil, "page", "version    not known: upstream: invalid response (status 404): "},
		{"hidden, provider shown", upstreamtest.R2026_8, upstreamtest.TokenRoot, nil, told(""), "version    not known: upstream: invalid response (status 200): the answer has no version\n" + may},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := upstreamtest.New(upstreamtest.Options{Release: tt.release, Permissions: map[string][]string{upstreamtest.UserAlice: tt.permissions}})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path != "/api/v3/admin/version/" || tt.answer == "":
					fake.ServeHTTP(w, r)
				case tt.answer == "page":
					http.NotFound(w, r)
				default:
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, tt.answer)
				}
			}))
			defer srv.Close()
			settings := []string{"AUTHENTIK_URL=" + srv.URL}
			if tt.token != "" {
				settings = newServiceFiles(t, tt.token, callerOf("a", "t1")).settings(settings...)
			}
			var stdout bytes.Buffer
			err := run(t.Context(), []string{"-check"}, settings, &stdout, io.Discard)
			if err != nil || !strings.Contains(stdout.String(), "\n"+tt.want) {
				t.Errorf("%v\n%s", err, stdout.String())
			}
		})
	}
}
