package upstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream"
	"authentik-graphql/upstream/upstreamtest"
)

// recordedExchanges are how many exchanges with a real authentik were recorded on the routes that this package
// calls. "Every recording" is meant literally: the cases of testdata/recorded add up to them.
var recordedExchanges = map[string]int{
	"2023.10.7": 347, "2024.8.4": 389, "2024.8.6": 336, "2025.8.6": 344, "2025.12.4": 333, "2026.2.2": 347,
	"2026.5.0-rc1": 161, "examples": 10,
}

// TestRecordings replays every recorded answer to the client: a 200 must be read field by field, anything else
// must be the error that authentik's contract makes of it.
func TestRecordings(t *testing.T) {
	for _, release := range recordedReleases(t) {
		t.Run(release, func(t *testing.T) {
			all, rows := recordings(t, release)
			exchanges, used := 0, map[int]bool{}
			for _, r := range all {
				exchanges += len(r.Cases)
				for _, n := range r.Rows {
					used[n] = true
				}
				t.Run(fmt.Sprintf("%s/%s/%s", r.Request, r.Resource, r.Cases[0]), func(t *testing.T) {
					t.Parallel()
					replay(t, r, rows)
				})
			}
			if exchanges != recordedExchanges[release] {
				t.Errorf("%d exchanges, want %d", exchanges, recordedExchanges[release])
			}
			if len(used) != len(rows) {
				t.Errorf("%d of %d rows belong to an answer", len(used), len(rows))
			}
		})
	}
}

// TestPageExample reads the example of a code on the page of authentik's API field by field, once its pk is the one
// that is asked for. Those in it, of the provider and the user, stay 0.
func TestPageExample(t *testing.T) {
	example, err := os.ReadFile("testdata/page-example.json")
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Replace(example, []byte(`"pk": 0`), []byte(`"pk": 17`), 1)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, string(body)) })
	c := client(t, server.URL)
	got, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
	if err != nil {
		t.Fatal(err)
	}
	checkGrant(t, got.Value, body)
	if p := got.Value.Provider; p.PK != 0 || got.Value.User.PK != 0 || p.Partial || len(c.Stats().Dropped) > 0 {
		t.Errorf("provider %v, partial %t, user %v, dropped %v", p.PK, p.Partial, got.Value.User.PK, c.Stats().Dropped)
	}
	_, err = c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk+1)
	wantKind(t, err, upstream.InvalidResponse)
}

// answer serves the recorded answer.
func (r recording) answer(t *testing.T, rows []json.RawMessage) http.HandlerFunc {
	body := []byte(r.Text)
	switch {
	case r.Status == 0:
		return faulty(upstreamtest.Hang)
	case r.Pagination != nil:
		body = r.page(t, rows)
	case len(r.Rows) == 1:
		body = rows[r.Rows[0]-1]
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range r.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(r.Status)
		_, _ = w.Write(body)
	}
}

// page is the body of a list. Rows that were not kept are made from the first of the list, or of the release.
func (r recording) page(t *testing.T, rows []json.RawMessage) []byte {
	t.Helper()
	results := make([]string, len(r.PKs))
	like := rows[0]
	for i, pk := range r.PKs {
		if i < len(r.Rows) {
			like = rows[r.Rows[0]-1]
			results[i] = string(rows[r.Rows[i]-1])
			continue
		}
		_, rest, _ := bytes.Cut(like, []byte(",")) // behind the primary key
		results[i] = fmt.Sprintf(`{"pk":%s,%s`, pk, rest)
	}
	return fmt.Appendf(nil, `{"pagination":%s,"results":[%s],"autocomplete":{}}`, r.Pagination, strings.Join(results, ","))
}

// replay lets a client make the request and checks what it makes of the answer.
func replay(t *testing.T, r recording, rows []json.RawMessage) {
	server := serve(t, r.answer(t, rows))
	patience := timeout(4900 * time.Millisecond) // within which no call is retried that is to wait 5 s
	if r.Status == 0 {
		patience = timeout(hurried)
	}
	c := client(t, server.URL, patience, func(o *upstream.Options) { o.Now = func() time.Time { return sent } })
	id := r.Header["X-Authentik-Id"]
	switch r.Request {
	case "retrieve":
		pk := upstream.PK(pk)
		if len(r.Rows) > 0 {
			pk = pkOf(t, rows[r.Rows[0]-1])
		}
		got, err := c.Retrieve(t.Context(), alice, r.Resource, pk)
		if r.check(t, err) {
			checkGrant(t, got.Value, rows[r.Rows[0]-1])
			checkID(t, got.AuthentikID, id)
		}
	case "list":
		r.replayList(t, c, rows)
	case "provider":
		pk := upstream.PK(pk)
		if len(r.Rows) > 0 {
			pk = pkOf(t, rows[r.Rows[0]-1])
		}
		got, err := c.Provider(t.Context(), alice, pk)
		if r.check(t, err) {
			checkProvider(t, got.Value, rows[r.Rows[0]-1])
			checkID(t, got.AuthentikID, id)
		}
	case "providers":
		got, err := c.Providers(t.Context(), alice)
		if r.check(t, err) {
			r.checkProviders(t, got.Value, rows)
		}
	case "delete":
		got, err := c.Delete(t.Context(), alice, r.Resource, pk)
		if r.check(t, err) && got.Value {
			t.Error("the outcome is unknown")
		}
	case "version":
		got, err := c.Version(t.Context(), alice)
		if want := tree(t, []byte(r.Text))["version_current"]; err != nil || got.Value != want {
			t.Errorf("got %q, want %q, error %v", got.Value, want, err)
		}
	case "ready":
		err := c.Ready(t.Context())
		if (err == nil) != (r.Want.Kind == "ok") || errors.Is(err, context.DeadlineExceeded) != (r.Want.Kind == "timeout") {
			t.Errorf("got %v, want %s", err, r.Want.Kind)
		}
	default:
		t.Fatalf("unknown request %q", r.Request)
	}
	if n := len(c.Stats().Dropped); n > 0 {
		t.Errorf("dropped %v", c.Stats().Dropped)
	}
}

// check compares the error of a call with what the answer means, and reports whether there is a value.
func (r recording) check(t *testing.T, err error) (ok bool) {
	t.Helper()
	if r.Want.Kind == "" {
		if err != nil {
			t.Error(err)
		}
		return err == nil
	}
	var e *upstream.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, r.Want.Kind)
	}
	if r.Request == "list" && r.Status == http.StatusNotFound { // of a first page, which every list has
		wantKind(t, err, upstream.InvalidResponse)
		return false
	}
	slices.Sort(e.Fields)
	if e.Kind.String() != r.Want.Kind || !slices.Equal(e.Fields, r.Want.Fields) ||
		e.RetryAfter != time.Duration(r.Want.RetryAfter)*time.Second || e.Status != r.Status {
		t.Errorf("got %v, status %d, fields %q, retry after %v; want %+v\n%s", e.Kind, e.Status, e.Fields, e.RetryAfter, r.Want, r.Text)
	}
	checkID(t, e.AuthentikID, r.Header["X-Authentik-Id"])
	checkSilent(t, e, r.Text)
	return false
}

func checkID(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("authentik's id %q, want %q", got, want)
	}
}

// replayList checks that a page is read to the last row, and that one that is not in the order of primary keys
// is refused.
func (r recording) replayList(t *testing.T, c *upstream.Client, rows []json.RawMessage) {
	t.Helper()
	if r.Pagination == nil {
		_, err := c.List(t.Context(), alice, r.Resource, upstream.Query{First: 20, MaxCalls: 3}, nil)
		r.check(t, err)
		return
	}
	p, dropped, err := upstream.DecodePage(r.page(t, rows), sent)
	if err != nil || len(dropped) > 0 {
		t.Fatalf("dropped %q, error %v", dropped, err)
	}
	if got := pksOf(p.Rows); !slices.Equal(got, r.PKs) {
		t.Errorf("rows %v, want %v", got, r.PKs)
	}
	for i, n := range r.Rows {
		checkGrant(t, p.Rows[i], rows[n-1])
	}
	var at struct {
		Count, Current int
		Start          int `json:"start_index"`
		Pages          int `json:"total_pages"`
	}
	if err := json.Unmarshal(r.Pagination, &at); err != nil {
		t.Fatal(err)
	}
	size := len(r.PKs)
	if at.Current == at.Pages {
		size = 0
	}
	if p.Count != at.Count || p.Start != max(at.Start-1, 0) || p.Size != size {
		t.Errorf("count %d, start %d, size %d of %+v", p.Count, p.Start, p.Size, at)
	}
	if at.Current > 1 {
		return
	}
	q := upstream.Query{First: max(len(r.PKs), 1), MaxCalls: 1, Oldest: slices.IsSorted(r.PKs)}
	list, err := c.List(t.Context(), alice, r.Resource, q, nil)
	newestFirst := slices.Clone(r.PKs)
	slices.Reverse(newestFirst)
	if !q.Oldest && !slices.IsSorted(newestFirst) { // authentik orders by another field, or ignores an unknown one
		wantKind(t, err, upstream.InvalidResponse)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := pksOf(list.Value.Rows); !slices.Equal(got, r.PKs) || list.Value.Count != at.Count || list.Value.More != (len(r.PKs) < at.Count) {
		t.Errorf("%v of %d, more %t", got, list.Value.Count, list.Value.More)
	}
	checkID(t, list.AuthentikID, r.Header["X-Authentik-Id"])
	checkRows(t, list.Value)
}

// checkProviders compares a page of providers with the recording.
func (r recording) checkProviders(t *testing.T, got upstream.Providers, rows []json.RawMessage) {
	t.Helper()
	pks := make([]upstream.PK, len(got.Rows))
	for i, p := range got.Rows {
		pks[i] = p.PK
	}
	next, _ := tree(t, r.Pagination)["next"].(json.Number)
	if !slices.Equal(pks, r.PKs) || got.More != (next != "0") {
		t.Errorf("rows %v, more %t; want %v, next %s", pks, got.More, r.PKs, next)
	}
	for i, n := range r.Rows {
		checkProvider(t, got.Rows[i], rows[n-1])
	}
}

func pkOf(t *testing.T, row []byte) upstream.PK {
	t.Helper()
	var r struct{ PK upstream.PK }
	if err := json.Unmarshal(row, &r); err != nil {
		t.Fatal(err)
	}
	return r.PK
}

func pksOf(rows []*upstream.Grant) []upstream.PK {
	pks := make([]upstream.PK, len(rows))
	for i, row := range rows {
		pks[i] = row.PK
	}
	return pks
}

// checkGrant compares a grant with the recorded row that it was read from, field by field, except for renamed
// keys and nulls. Then it stores and restores the grant.
func checkGrant(t *testing.T, g *upstream.Grant, row []byte) {
	t.Helper()
	got, want := tree(t, upstream.EncodeGrant(g)), tree(t, row)
	delete(got, "_ends_at") // TestExpiry checks it
	if token, ok := want["id_token"].(string); ok {
		want["id_token"] = tree(t, []byte(token))
	}
	provider := want["provider"].(map[string]any)
	modernise(provider)
	if claims, ok := want["id_token"].(map[string]any); ok && provider["_partial"] == true {
		provider["_audience"] = claims["aud"]
	}
	user := want["user"].(map[string]any)
	objects := []map[string]any{want, provider, user}
	for _, list := range []string{"groups_obj", "roles_obj"} {
		items, _ := user[list].([]any)
		for _, item := range items {
			objects = append(objects, item.(map[string]any))
		}
	}
	for _, object := range objects {
		normalise(object)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	checkRoundTrip(t, g)
}

// checkProvider does the same with a provider that is read by itself.
func checkProvider(t *testing.T, p *upstream.Provider, row []byte) {
	t.Helper()
	stored := upstream.AppendProvider(nil, p)
	got, want := tree(t, stored), tree(t, row)
	modernise(want)
	normalise(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if back, err := upstream.RestoreProvider(string(stored)); err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("came back as %v, error %v", back, err)
	}
}

// tree parses JSON and keeps the text of its numbers.
func tree(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return v
}

// modernise turns the tree of a recorded provider into that of the stored form, by other means than the
// package's own.
func modernise(provider map[string]any) {
	for before, after := range map[string]string{"jwks_sources": "jwt_federation_sources", "backchannel_logout_uri": "logout_uri"} {
		if v, ok := provider[before]; ok {
			provider[after] = v
			delete(provider, before)
		}
	}
	if lines, ok := provider["redirect_uris"].(string); ok {
		uris := []any{}
		for _, line := range strings.Fields(lines) {
			uris = append(uris, map[string]any{"url": line})
		}
		provider["redirect_uris"] = uris
	}
	_, hasType := provider["client_type"]
	_, hasID := provider["client_id"]
	if !hasType && !hasID {
		provider["_partial"] = true
	}
}

// normalise removes nulls and brings times into their stored form.
func normalise(object map[string]any) {
	maps.DeleteFunc(object, func(_ string, v any) bool { return v == nil })
	for _, key := range []string{"expires", "last_login", "date_joined", "password_change_date", "last_updated"} {
		if s, ok := object[key].(string); ok {
			at, err := time.Parse(time.RFC3339Nano, s)
			if err != nil {
				panic(err)
			}
			object[key] = at.UTC().Format(time.RFC3339Nano)
		}
	}
}
