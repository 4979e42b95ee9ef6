package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// played are the releases that the fake authentik plays.
var played = map[upstreamtest.Release]string{
	upstreamtest.R2023_10: "2023.10.7", upstreamtest.R2024_8: "2024.8.4", upstreamtest.R2024_12: "2024.12.0",
	upstreamtest.R2025_8: "2025.8.6", upstreamtest.R2025_12: "2025.12.4", upstreamtest.R2025_12_5: "2025.12.5",
	upstreamtest.R2026_2: "2026.2.2", upstreamtest.R2026_2_3: "2026.2.3", upstreamtest.R2026_5: "2026.5.0",
	upstreamtest.R2026_8: "2026.8.5",
}

// viewers are those who ask for alice's grants.
var viewers = []struct {
	name, token string
	permissions []string // alice's
}{
	{"owner", upstreamtest.TokenAlice, nil},
	{"owner who may view providers", upstreamtest.TokenAlice, []string{upstreamtest.ViewProvider}},
	{"owner who may change providers", upstreamtest.TokenAlice, []string{upstreamtest.ViewProvider, upstreamtest.ChangeProvider}},
	{"superuser", upstreamtest.TokenRoot, nil},
}

// TestReleases asks for every field of a code and of both tokens, in each release and as each viewer: null is what
// docs/releases.md says. Providers are read only where a grant's is partial, once for all three.
func TestReleases(t *testing.T) {
	t.Parallel()
	rows := nullRows(t)
	everyField := file(t, "graph/testdata/every-field.graphql")
	documents := map[string]string{"AuthorizationCode": everyField}
	for _, token := range []string{"AccessToken", "RefreshToken"} {
		field := strings.ToLower(token[:1]) + token[1:] + "("
		documents[token] = strings.NewReplacer("authorizationCode(", field, "fetchedAt", "fetchedAt revoked claims").Replace(everyField)
	}
	for _, release := range upstreamtest.Releases() {
		for _, viewer := range viewers {
			t.Run(string(release)+"/"+viewer.name, func(t *testing.T) {
				a := newDirect(t, upstreamtest.Options{
					Release: release, Permissions: map[string][]string{upstreamtest.UserAlice: viewer.permissions},
				}, "REDACT=none")
				a.addGrants(17, upstreamtest.ProviderGrafana)
				a.up.SetFault(upstreamtest.AllRequests, encrypted)
				for grant, document := range documents {
					got := a.query(viewer.token, document, `{"id":17}`)
					if len(got.Errors) > 0 {
						t.Fatalf("%s: %s", grant, got.Body)
					}
					holds := viewer.permissions
					if viewer.token == upstreamtest.TokenRoot {
						holds = []string{upstreamtest.ViewProvider, upstreamtest.ChangeProvider}
					}
					if grant != "AuthorizationCode" {
						holds = append(slices.Clone(holds), "aud")
					}
					compareNulls(t, grant, shown(t, got.Data), nullIn(rows, parseRelease(t, played[release]), holds))
				}
				partial := nullIn(rows, parseRelease(t, played[release]), nil)["OAuth2Provider.clientType"]
				if n := a.providerCalls(); n != boolToInt(partial) {
					t.Errorf("%d calls for providers, want %d", n, boolToInt(partial))
				}
			})
		}
	}
}

// encrypted gives providers the one thing of every release that those of the fake authentik lack.
var encrypted = upstreamtest.Fault{Name: "encrypted", Serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(bytes.ReplaceAll(answer.Body.Bytes(), []byte(`"encryption_key":null`), []byte(`"encryption_key":"d9687bcd-1866-4337-898f-53b20b301af0"`)))
}}

// typeOf has the types of the objects in an answer, by the names of the fields that have them.
var typeOf = map[string]string{
	"authorizationCode": "AuthorizationCode", "accessToken": "AccessToken", "refreshToken": "RefreshToken",
	"provider": "OAuth2Provider", "redirectUris": "RedirectURI", "user": "User", "groups": "Group", "roles": "Role",
}

// shown reports of each field in an answer, as Type.field, whether it has a value in any of its objects.
func shown(t *testing.T, data []byte) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	var look func(of string, value any)
	look = func(of string, value any) {
		switch value := value.(type) {
		case []any:
			for _, v := range value {
				look(of, v)
			}
		case map[string]any:
			for name, v := range value {
				found[of+"."+name] = found[of+"."+name] || v != nil
				if typeOf[name] != "" {
					look(typeOf[name], v)
				}
			}
		}
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	look("Query", all)
	return found
}

// compareNulls compares what an answer shows with what is to be null. Whether an application uses the provider as a
// back channel is not a matter of releases.
func compareNulls(t *testing.T, grant string, shown, null map[string]bool) {
	t.Helper()
	if len(shown) < 60 {
		t.Errorf("%s: only %d fields", grant, len(shown))
	}
	for field, value := range shown {
		if !strings.Contains(field, "Backchannel") && value == null[field] {
			t.Errorf("%s: %s has a value: %t", grant, field, value)
		}
	}
}

// nullRow is a row of the table of docs/releases.md.
type nullRow struct {
	from         []release
	before, then []string // fields that are null before a release, and from it on
	unless       []string // what ends the latter
}

// nullRows reads the table of docs/releases.md.
func nullRows(t *testing.T) (rows []nullRow) {
	t.Helper()
	page := file(t, "docs/releases.md")
	_, table, _ := strings.Cut(page, "| From |")
	table, _, _ = strings.Cut(table, "\n\n")
	settings := regexp.MustCompile(`(?s)\*The settings\* are (.*?)\.`).FindStringSubmatch(page)
	if settings == nil {
		t.Fatal("docs/releases.md does not list the settings")
	}
	quoted := func(text string) (all []string) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
			all = append(all, name[1])
		}
		return all
	}
	fields := func(cell string) (all []string) {
		if strings.Contains(cell, "*the settings*") {
			cell += settings[1]
		}
		of := "OAuth2Provider"
		for _, name := range quoted(cell) {
			before, field, full := strings.Cut(name, ".")
			if full {
				of = before
			} else {
				field = name
			}
			all = append(all, of+"."+field)
		}
		return all
	}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			t.Fatalf("the row has %d cells: %s", len(cells), line)
		}
		row := nullRow{before: fields(cells[2]), then: fields(cells[3]), unless: quoted(cells[4])}
		for _, from := range strings.Split(cells[1], ",") {
			row.from = append(row.from, parseRelease(t, from))
		}
		rows = append(rows, row)
	}
	if len(rows) < 10 {
		t.Fatalf("only %d rows in\n%s", len(rows), table)
	}
	return rows
}

// nullIn returns the fields that are null in a release, for a caller with permissions.
func nullIn(rows []nullRow, r release, holds []string) map[string]bool {
	null := map[string]bool{}
	for _, row := range rows {
		fields := row.before
		if reached := r.reached(row.from); reached {
			fields = row.then
			if slices.ContainsFunc(row.unless, func(p string) bool { return slices.Contains(holds, p) }) {
				fields = nil
			}
		}
		for _, field := range fields {
			null[field] = true
		}
	}
	return null
}

// release is a release of authentik: year, month and patch.
type release [3]int

func parseRelease(t *testing.T, text string) (r release) {
	t.Helper()
	if n, _ := fmt.Sscanf(strings.TrimSpace(text), "%d.%d.%d", &r[0], &r[1], &r[2]); n < 2 {
		t.Fatalf("%q is no release", text)
	}
	return r
}

// reached reports whether a release has what began with the given ones, each the first of its line. Later lines all
// have it.
func (r release) reached(from []release) bool {
	for _, first := range from {
		if line := slices.Compare(r[:2], first[:2]); line == 0 {
			return r[2] >= first[2]
		}
	}
	last := from[len(from)-1]
	return slices.Compare(r[:2], last[:2]) > 0
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
