package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"pgregory.net/rapid"

	"authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// The keys for which drawnSource does something else.
const (
	drawnUnknown = 404
	drawnBroken  = 500
	drawnPanic   = 13
	drawnStale   = 77
)

// drawnSource has one grant for each key, and fails for some.
type drawnSource struct {
	NoProviders
	grant    upstream.Grant
	provider upstream.Provider // as it is read by itself
	rows     int               // of a page, at most
}

var drawnNow = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

func (s *drawnSource) Grant(_ context.Context, _ grants.Caller, _ upstream.Resource, pk upstream.PK) (read GrantRead, err error) {
	switch pk {
	case drawnUnknown:
		return read, &upstream.Error{Kind: upstream.NotFound, Status: 404}
	case drawnBroken:
		return read, errors.New("broken")
	case drawnPanic:
		panic("a panic")
	case drawnStale:
		read.Stale, read.Cause = grants.StaleIfError, &upstream.Error{Kind: upstream.Timeout}
	}
	grant := s.grant
	grant.PK = pk
	read.Value, read.FetchedAt, read.FreshUntil = &grant, drawnNow.Add(-time.Second), drawnNow.Add(time.Duration(pk)*time.Minute)
	return read, nil
}

func (s *drawnSource) List(_ context.Context, _ grants.Caller, resource upstream.Resource, q upstream.Query) (read ListRead, err error) {
	if q.First == 100 {
		return read, &upstream.Error{Kind: upstream.Unavailable, RetryAfter: time.Second}
	}
	rows := make([]*upstream.Grant, min(q.First, s.rows))
	for i := range rows {
		grant := s.grant
		grant.PK = upstream.PK(i + 1)
		rows[i] = &grant
	}
	read.Value = &upstream.Rows{Rows: rows, Count: 7, More: q.Oldest}
	order, after := 0, 0 // no two reads are equally fresh, so that the least fresh one is the same
	if q.Oldest {
		order = 1
	}
	if q.After != nil {
		after = 1
	}
	read.FetchedAt = drawnNow
	read.FreshUntil = drawnNow.Add(time.Duration(((q.First*1000+int(q.User))*1000+int(q.Provider))*4+order*2+after) * time.Microsecond)
	read.FreshUntil = read.FreshUntil.Add(time.Duration(len(resource)) * time.Second)
	return read, nil
}

// Providers reads a provider, refuses it or fails, by its key.
func (s *drawnSource) Providers(_ context.Context, _ grants.Caller, pks []upstream.PK) []grants.ProviderRead {
	reads := make([]grants.ProviderRead, len(pks))
	for i, pk := range pks {
		r := &reads[i]
		if pk%7 == 0 || pk == 4 {
			r.Err = &upstream.Error{Kind: upstream.Timeout}
			continue
		}
		r.FetchedAt, r.FreshUntil, r.Cached = drawnNow.Add(-time.Duration(pk%60)*time.Second), drawnNow.Add(time.Duration(pk%60)*time.Second), true
		switch pk % 7 {
		case 1:
			r.Refusal = &upstream.Error{Kind: upstream.Forbidden, Status: 403}
		case 2:
			r.Refusal = &upstream.Error{Kind: upstream.NotFound, Status: 404}
		case 3:
			r.Stale = grants.StaleWhileRevalidate
			fallthrough
		default:
			p := s.provider
			p.PK, r.Value = pk, &p
		}
	}
	return reads
}

func (s *drawnSource) Revoke(context.Context, grants.Caller, upstream.Resource, upstream.PK) (grants.Revocation, error) {
	return grants.Revocation{}, &upstream.Error{Kind: upstream.NotFound}
}

// twoServers returns the endpoint with plans and without, over the same source.
func twoServers(t testing.TB, source GrantSource, limits document.Limits) (planned, plain http.Handler) {
	t.Helper()
	resolver := &Resolver{Grants: source, Now: func() time.Time { return drawnNow }}
	handler := NewHandler(resolver, Options{Limits: limits, Documents: NewTestLibrary(t, limits), Federation: true, SDL: "the SDL"}).(transport)
	without := handler
	without.planner.query = reflect.Value{}
	return handler, without
}

func testPlanner(t testing.TB, source GrantSource) planner {
	t.Helper()
	return newPlanner(Schema(), &Resolver{
		Grants: source, Now: time.Now, upstreamCalls: 1,
		budget: responseBudget{memory: newMemoryBudget(), maxBytes: budgetBytes},
	})
}

// testDocument parses a valid text.
func testDocument(t testing.TB, text string) *document.Document {
	t.Helper()
	found := NewTestLibrary(t, DefaultLimits()).Find(t.Context(), document.Query{Text: text})
	if found.Document == nil {
		t.Fatal(found.Errors)
	}
	return found.Document
}

// ask sends a document and returns the response and the facts for the log.
func ask(ctx context.Context, h http.Handler, document string, variables map[string]any) (*httptest.ResponseRecorder, Facts) {
	body, _ := json.Marshal(map[string]any{"query": document, "variables": variables})
	req := &Request{ID: "test", Caller: grants.Caller{Credential: upstream.NewCredential("t")}}
	r := httptest.NewRequestWithContext(NewContext(ctx, req), http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w, req.Facts()
}

// inOrder formats a response with its errors sorted, because root fields fail concurrently.
func inOrder(w *httptest.ResponseRecorder, facts Facts) string {
	text := w.Body.String()
	var list []json.RawMessage
	if errs, some := strings.CutPrefix(text, `{"errors":`); some {
		// The errors are sorted; the rest is compared as it is.
		decoder := json.NewDecoder(strings.NewReader(errs))
		if err := decoder.Decode(&list); err != nil {
			return err.Error() + text
		}
		slices.SortFunc(list, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
		text = fmt.Sprintf("%s%s", list, errs[decoder.InputOffset():])
	}
	if len(list) > 1 || len(list) > 0 && strings.Contains(text, "STALE") {
		facts.Err = nil // the first of several
	}
	slices.Sort(facts.ErrorCodes)
	if facts.Err != nil {
		text, _, _ := strings.Cut(facts.Err.Error(), "\n") // the stacks of a panic differ
		facts.Err = errors.New(text)
	}
	return fmt.Sprintf("%d %v\n%s\n%s %s %v %s %v %d", w.Code, w.Header(), text,
		facts.OperationType, facts.OperationName, facts.ErrorCodes, facts.CacheStatus, facts.Err, facts.UpstreamStatus)
}

// TestPlansEqualGqlgen compares the responses of plans and of gqlgen byte for byte, with their status,
// headers and facts for the log, for any operation over any grants.
func TestPlansEqualGqlgen(tb *testing.T) {
	planner, library := testPlanner(tb, nil), NewTestLibrary(tb, DefaultLimits())
	all, invalid, runs, shown, failed := 0, 0, 0, 0, 0
	rapid.Check(tb, func(t *rapid.T) {
		source := &drawnSource{rows: 4}
		fill(t, reflect.ValueOf(&source.grant).Elem())
		fill(t, reflect.ValueOf(&source.provider).Elem())
		if p := source.grant.Provider; p != nil {
			p.PK, p.Partial = upstream.PK(rapid.IntRange(0, 7).Draw(t, "provider")), rapid.IntRange(0, 3).Draw(t, "partial") > 0
		}
		planned, plain := twoServers(tb, source, DefaultLimits())
		d := drawDocument(t, planner.schema)
		text := d.text()
		for range 2 { // the second time the plan is cached
			got, want := inOrder(ask(t.Context(), planned, text, d.values)), inOrder(ask(t.Context(), plain, text, d.values))
			if got != want {
				t.Fatalf("%s\n%v\ngot  %s\nwant %s", text, d.values, got, want)
			}
			all++
			if strings.Contains(got, "GRAPHQL_") { // fields of one name that differ in types of a union
				invalid++
			}
			shown += strings.Count(got, "fetchedAt")
			failed += strings.Count(got, `"code":`)
		}
		doc := library.Find(t.Context(), document.Query{Text: text}).Document
		if doc == nil {
			return
		}
		op := doc.AST.Operations[0]
		if variables, err := validator.VariableValues(planner.schema, op, d.values); err == nil && planner.plan(doc, op, variables) != nil {
			runs++
		}
	})
	tb.Logf("%d answers, %d of documents that are not valid; %d plans ran, %d grants were shown, %d errors", all, invalid, runs, shown, failed)
	if invalid > all/10 || runs == 0 || shown == 0 || failed == 0 {
		tb.Error("too little was compared")
	}
}

// TestPlansCoverTheSchema checks that there is a plan for each field that a query can reach, so that a new
// one is not forgotten.
func TestPlansCoverTheSchema(t *testing.T) {
	planner := testPlanner(t, nil)
	seen, all := map[string]bool{}, 0
	var cover func(def *ast.Definition, before, after string)
	cover = func(def *ast.Definition, before, after string) {
		if seen[def.Name] {
			return
		}
		seen[def.Name] = true
		for _, f := range def.Fields {
			if strings.HasPrefix(f.Name, "_") {
				continue
			}
			field := f.Name
			for _, arg := range f.Arguments {
				if arg.Type.NonNull {
					field += "(" + arg.Name + ": 1)"
				}
			}
			if below := planner.schema.Types[f.Type.Name()]; !below.IsLeafType() {
				cover(below, before+"{ "+field, " }"+after)
				continue
			}
			doc := testDocument(t, before+"{ "+field+" }"+after)
			if plan := planner.plan(doc, doc.AST.Operations[0], nil); plan == nil || plan.calls(nil) == nil {
				t.Errorf("%s.%s is left to gqlgen", def.Name, f.Name)
			}
			all++
		}
	}
	cover(planner.schema.Query, "", "")
	if all < 90 {
		t.Errorf("only %d fields were looked at", all)
	}
}

func TestPlansLeaveToGqlgen(t *testing.T) {
	planner := testPlanner(t, nil)
	for name, document := range map[string]string{
		"a mutation":    `mutation { revokeAccessToken(id: 1) { id } }`,
		"introspection": `{ __schema { description } }`,
		"a type":        `{ __type(name: "User") { name } }`,
		"entities":      `{ _entities(representations: []) { __typename } }`,
		"the SDL":       `{ authorizationCode(id: 1) { id } _service { sdl } }`,
		"@defer":        `{ authorizationCode(id: 1) { ... @defer { id } } }`,
		"nothing":       `{ __typename @skip(if: true) }`,
		"65 conditions": "query($c: Boolean!) {" + strings.Repeat(" __typename @skip(if: $c)", 65) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			doc := testDocument(t, document)
			if planner.plan(doc, doc.AST.Operations[0], map[string]any{"c": false}) != nil {
				t.Error("it has a plan")
			}
		})
	}
}

func TestPlansKnowNoOtherDirectives(t *testing.T) {
	planner := testPlanner(t, nil)
	doc := testDocument(t, `{ __typename }`)
	op := doc.AST.Operations[0]
	op.Directives = ast.DirectiveList{{Name: "live"}}
	if planner.plan(doc, op, nil) != nil {
		t.Error("an operation with a directive has a plan")
	}
}

// ending is a context that ends after a number of calls of Err.
type ending struct {
	context.Context
	looks atomic.Int64
}

func endsAfter(ctx context.Context, looks int64) context.Context {
	c := &ending{Context: ctx}
	c.looks.Store(looks)
	return c
}

func (c *ending) Err() error {
	if c.looks.Add(-1) < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestPlansAreStopped compares responses that are too large, too late or out of memory with gqlgen's.
func TestPlansAreStopped(t *testing.T) {
	name := strings.Repeat("n", 3000)
	source := &drawnSource{grant: upstream.Grant{User: &upstream.User{Name: &name}}, rows: 3}
	const one, three = `{ authorizationCode(id: 1) { id user { name } } }`, `{ accessTokens(first: 3) { nodes { id user { name } } } }`
	for _, tt := range []struct {
		name, document string
		looks          int64
		status         int
		want           string
	}{
		{"whole", one, 1000, 200, `"id":"1"`},
		{"all but too large", three, 1000, 200, `"id":"3"`},
		{"too large", strings.Replace(three, "id", "id pk revoked", 1), 1000, 200, "MAX_ANSWER"},
		{"too large by its errors", `{ a: authorizationCode(id: 404) { id } b: authorizationCode(id: 404) { id } c: authorizationCode(id: 404) { id } }`, 1000, 200, "MAX_ANSWER"},
		{"too late to begin", one, 0, 504, apierror.GatewayTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limits := DefaultLimits()
			limits.Answer = 9140
			planned, plain := twoServers(t, source, limits)
			got := inOrder(ask(endsAfter(t.Context(), tt.looks), planned, tt.document, nil))
			want := inOrder(ask(endsAfter(t.Context(), tt.looks), plain, tt.document, nil))
			if got != want || !strings.HasPrefix(got, fmt.Sprint(tt.status)) || !strings.Contains(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Run("too late while it is read", func(t *testing.T) {
		planned, _ := twoServers(t, source, DefaultLimits())
		if got, _ := ask(endsAfter(t.Context(), 1), planned, one, nil); got.Code != 504 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
	t.Run("too late while it is written", func(t *testing.T) {
		planned, _ := twoServers(t, source, DefaultLimits())
		if got, _ := ask(endsAfter(t.Context(), 2), planned, three, nil); got.Code != 504 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
	t.Run("out of memory", func(t *testing.T) {
		long := strings.Repeat("n", 2*freeBytes)
		planner := testPlanner(t, &drawnSource{grant: upstream.Grant{User: &upstream.User{Name: &long}}, rows: 3})
		if !planner.resolver.budget.memory.TryAcquire(budgetBytes) {
			t.Fatal("something is reserved")
		}
		doc := testDocument(t, three)
		req := &Request{Caller: grants.Caller{Credential: upstream.NewCredential("t")}}
		synctest.Test(t, func(t *testing.T) { // it waits for memory
			resp := planner.execute(NewContext(t.Context(), req), doc, &graphql.OperationContext{Operation: doc.AST.Operations[0]})
			if resp == nil || resp.Data != nil || req.stopped() != outOfMemory {
				t.Errorf("stopped %d, %v", req.stopped(), resp)
			}
		})
	})
}

// TestWeightOfPlans compares the memory of documents and their plans with what the library counts.
func TestWeightOfPlans(t *testing.T) {
	many := func(n int, format string) (all string) {
		for i := range n {
			all += fmt.Sprintf(format, i)
		}
		return all
	}
	planner := testPlanner(t, nil)
	for name, text := range map[string]string{
		"grants": "query($a:Boolean!$b:Boolean!){" + many(90, " a%d:refreshToken(id:1){...F}") +
			"} fragment F on RefreshToken{id pk scope @skip(if:$a) expires @skip(if:$b) claims user{id pk name email uid path type uuid __typename} provider{id pk name component subMode signingKey}}",
		"lists": "query($a:Boolean!$b:Boolean!){x:__typename @skip(if:$a) y:__typename @skip(if:$b)" + many(90, " a%d:accessTokens{...F}") +
			"} fragment F on AccessTokenConnection{edges{node{user{groups{name}}provider{redirectUris{url}}}}nodes{scope user{groups{id}roles{id}}}}",
		"operations": many(10, " query q%d($a:Boolean!$b:Boolean!){__typename @skip(if:$a) u:__typename @skip(if:$b) v:__typename}"),
	} {
		t.Run(name, func(t *testing.T) {
			const n = 60
			library := NewTestLibrary(t, DefaultLimits())
			before := heap()
			for i := range n {
				found := library.Find(t.Context(), document.Query{Text: fmt.Sprintf("#%d\n%s", i, text)})
				if found.Document == nil {
					t.Fatal(found.Errors)
				}
				for _, op := range found.AST.Operations {
					for holding := range 4 {
						planner.plan(found.Document, op, map[string]any{"a": holding&1 > 0, "b": holding&2 > 0})
					}
				}
			}
			took := heap() - before
			kept, counted := library.Size()
			t.Logf("%d bytes of text: %d taken, %d counted", len(text), took/n, counted/n)
			if kept != n || took > counted {
				t.Errorf("%d documents: each takes %d bytes and is counted as %d", kept, took/n, counted/n)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
