package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/app"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// recorded is an answer of a real authentik, as upstream/testdata/README.md describes it.
type recorded struct {
	Cases             []string
	Request, Resource string
	Status            int
	Header            map[string]string
	Text              string
	Rows              []int
	Want              struct{ Kind string }
}

// recordedCodes are the codes of errors, by what an answer means.
var recordedCodes = map[string]string{
	"unauthenticated": "UNAUTHENTICATED", "forbidden": "FORBIDDEN", "unlicensed": "FORBIDDEN", "not found": "NOT_FOUND",
	"bad input": "BAD_USER_INPUT", "rate limited": "RATE_LIMITED", "failed": "UPSTREAM_ERROR",
	"unavailable": "UPSTREAM_UNAVAILABLE", "timeout": "GATEWAY_TIMEOUT", "invalid response": "UPSTREAM_INVALID_RESPONSE",
}

// TestRecordings replays what authentiks of seven releases answered, through the whole service: an object must be
// shown field by field, anything else as its code. Package upstream replays the lists.
func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(servicetest.Root(t), "upstream", "testdata", "recorded", "2*.jsonl"))
	if err != nil || len(files) != 7 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, name := range files {
		release := strings.TrimSuffix(filepath.Base(name), ".jsonl")
		rows := strings.Split(file(t, "upstream/testdata/rows/"+release+".jsonl"), "\n")
		for line := range strings.Lines(file(t, "upstream/testdata/recorded/"+release+".jsonl")) {
			var r recorded
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if code := recordedCodes[r.Want.Kind]; code != "" {
				t.Run(release+"/"+r.Request+"/"+r.Cases[0], func(t *testing.T) { r.replayError(t, code) })
			} else if r.Status == http.StatusOK && (r.Request == "retrieve" || r.Request == "provider") {
				t.Run(release+"/"+r.Request+"/"+r.Cases[0], func(t *testing.T) { r.replayObject(t, rows[r.Rows[0]-1]) })
			}
		}
	}
}

// ask asks a service whose authentik gives the recorded answer, or that body, and forbids to read providers.
func (r recorded) ask(t *testing.T, body, document string, now func() time.Time) reply {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasPrefix(q.URL.Path, "/api/v3/providers/") && r.Request != "provider" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"detail":"You do not have permission to perform this action."}`)
			return
		}
		if r.Status == 0 {
			upstreamtest.Hang.Serve(w, q, nil)
			return
		}
		for name, value := range r.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(r.Status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(up.Close)
	patience := "4s" // within which nothing is retried that is to wait 5 s
	if r.Status == 0 {
		patience = "200ms"
	}
	service := openService(t, app.Options{Environ: []string{"AUTHENTIK_URL=" + up.URL, "UPSTREAM_TIMEOUT=" + patience, "REDACT=none"}, Now: now})
	query, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	q := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(query))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+upstreamtest.TokenAlice)
	w := httptest.NewRecorder()
	service.Handler().ServeHTTP(w, q)
	var got reply
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	got.Body = w.Body.Bytes()
	return got
}

// field is the root field for the request, without selection.
func (r recorded) field(pk string) string {
	switch one := map[string]string{"authorization_codes": "authorizationCode", "access_tokens": "accessToken", "refresh_tokens": "refreshToken"}[r.Resource]; r.Request {
	case "retrieve":
		return fmt.Sprintf("%s(id: %s)", one, pk)
	case "delete":
		return fmt.Sprintf("revoke%s%s(id: %s)", strings.ToUpper(one[:1]), one[1:], pk)
	case "list":
		return one + "s"
	case "provider":
		return fmt.Sprintf("oauth2Provider(id: %s)", pk)
	}
	return ""
}

func (r recorded) replayError(t *testing.T, code string) {
	t.Parallel()
	field := r.field("17")
	switch r.Request {
	case "ready", "providers": // which no operation asks for alone
		return
	case "list":
		field = "{ " + field + " { totalCount } }"
		if r.Status == http.StatusNotFound { // of a first page, which every list has
			code = "UPSTREAM_INVALID_RESPONSE"
		}
	case "delete":
		field = "mutation { " + field + " { id } }"
	default:
		field = "{ " + field + " { id } }"
	}
	got := r.ask(t, r.Text, field, time.Now)
	if got.Codes() != code {
		t.Errorf("got %s, want %s for %d %s", got.Body, code, r.Status, r.Text)
	}
}

func (r recorded) replayObject(t *testing.T, row string) {
	t.Parallel()
	sent := exactTree(t, row)
	document := file(t, "graph/testdata/every-field.graphql")
	selection := document[strings.Index(document, "{\n    id"):strings.LastIndex(document, "}")]
	if r.Request == "provider" {
		_, selection, _ = strings.Cut(selection, "provider ")
		selection = selection[:strings.Index(selection, "user {")]
	}
	if strings.HasSuffix(r.Resource, "_tokens") {
		selection = "{ claims revoked " + selection[1:]
	}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	if text, ok := sent["expires"].(string); ok && sent["is_expired"] == false {
		if at, err := time.Parse(time.RFC3339, text); err == nil && at.Before(now) && at.Year() > 2000 {
			now = at.Add(-time.Second) // as authentik saw it
		}
	}
	got := r.ask(t, row, "{ it: "+r.field(fmt.Sprint(sent["pk"]))+" "+selection+" }", func() time.Time { return now })
	if len(got.Errors) > 0 {
		t.Fatalf("errors: %s", got.Body)
	}
	shown := exactTree(t, string(got.Data))["it"].(map[string]any)
	delete(shown, "fetchedAt")
	if r.Request == "provider" {
		compareShown(t, "provider", shown, asShown(t, "provider", sent))
		return
	}
	want := asShown(t, "grant", sent)
	provider := want["provider"].(map[string]any)
	if claims, ok := want["claims"].(map[string]any); ok && provider["clientId"] == nil {
		provider["clientId"] = claims["aud"] // from the token, as the provider is refused
	}
	compareShown(t, "grant", shown, want)
}

// exactTree parses JSON and keeps the text of its numbers.
func exactTree(t *testing.T, text string) (tree map[string]any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return tree
}

// compareShown checks that each field that is shown is what was sent, or null if nothing was, and that nothing
// that was sent is left out.
func compareShown(t *testing.T, where string, shown, sent map[string]any) {
	t.Helper()
	for name, got := range shown {
		path, want := where+"."+name, sent[name]
		if objects, ok := want.([]map[string]any); ok {
			list, _ := got.([]any)
			if len(list) != len(objects) {
				t.Errorf("%s: %v, want %v", path, got, want)
				continue
			}
			for i, item := range list {
				compareShown(t, path, item.(map[string]any), objects[i])
			}
		} else if object, ok := got.(map[string]any); ok && (name == "provider" || name == "user") {
			compareShown(t, path, object, want.(map[string]any))
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	for name := range sent {
		if _, ok := shown[name]; !ok {
			t.Errorf("%s.%s is not shown", where, name)
		}
	}
}

// asShown turns an object of authentik into what the schema says that is shown of it.
func asShown(t *testing.T, kind string, sent map[string]any) map[string]any {
	t.Helper()
	shown := map[string]any{"id": fmt.Sprint(sent["pk"])}
	if _, ok := sent["pk"]; !ok {
		delete(shown, "id") // a redirect URI
	}
	for key, value := range sent {
		names := shownNames[key]
		if names == nil {
			names = []string{camel(key)}
		}
		for _, name := range names {
			shown[name] = value
			text, isText := value.(string)
			list, isList := value.([]any)
			switch object, isObject := value.(map[string]any); {
			case isObject && (key == "provider" || key == "user"):
				shown[name] = asShown(t, key, object)
			case isList && slices.Contains([]string{"groups_obj", "roles_obj", "redirect_uris"}, key):
				items := make([]map[string]any, len(list))
				for i, item := range list {
					items[i] = asShown(t, key, item.(map[string]any))
				}
				shown[name] = items
			case isText && key == "redirect_uris":
				items := []map[string]any{}
				for _, word := range strings.Fields(text) {
					items = append(items, map[string]any{"url": word})
				}
				shown[name] = items
			case isText && key == "id_token":
				shown[name] = exactTree(t, text)
			case kind+"."+key == "redirect_uris.matching_mode" && value == "prefix": // which was put into the database
				shown[name] = "UNKNOWN"
			case isText && slices.Contains(shownEnums, kind+"."+key):
				shown[name] = strings.ToUpper(text)
			case isText && slices.Contains(shownTimes, key):
				shown[name] = shownTime(t, text)
			}
		}
	}
	return shown
}

// shownNames are the names of the schema that are not the camel case of authentik's.
var shownNames = map[string][]string{
	"groups": {"groupIds"}, "groups_obj": {"groups"}, "roles": {"roleIds"}, "roles_obj": {"roles"},
	"redirect_uri_type": {"type"}, "id_token": {"claims"},
	"jwks_sources":           {"jwksSources", "jwtFederationSources"},
	"jwt_federation_sources": {"jwksSources", "jwtFederationSources"},
	"backchannel_logout_uri": {"backchannelLogoutUri", "logoutUri"},
	"logout_uri":             {"backchannelLogoutUri", "logoutUri"},
}

var (
	shownEnums = []string{
		"provider.client_type", "provider.sub_mode", "provider.issuer_mode", "provider.logout_method",
		"redirect_uris.matching_mode", "redirect_uris.redirect_uri_type", "user.type",
	}
	shownTimes = []string{"expires", "last_login", "date_joined", "password_change_date", "last_updated"}
)

// shownTime is a time as it is shown: in UTC, with the six digits of a fraction or none, as authentik writes it.
func shownTime(t *testing.T, text string) string {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	if at.Nanosecond() == 0 {
		return at.UTC().Format("2006-01-02T15:04:05Z")
	}
	return at.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// camel is the camel case of a name.
func camel(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}
