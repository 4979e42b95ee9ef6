package e2e

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

const (
	// staleWaitAtMost is less than a read waits with a stale value at hand.
	staleWaitAtMost = 500 * time.Millisecond
	// recently is how long a failure may be repeated, by a clock that may have been set back meanwhile.
	recently = time.Second + 2*maxClockSkew
	// maxCredible is how far ahead of the clock an answer may have come.
	maxCredible = time.Second
)

// providerCheck compares the responses to requests that were sent together with what authentik said.
type providerCheck struct {
	*providerWorld
	batch []providerRequest
	from  int // the first answer since they were sent
	// outcomes are what became of the providers that were needed, by caller and primary key: the number of the answer
	// that is shown, or one of the constants.
	outcomes map[string][]int
}

const (
	wasRefused = -1 - iota
	wasRejected
	hasFailed
	isUnknown
)

func newProviderCheck(w *providerWorld, batch []providerRequest, from int) *providerCheck {
	return &providerCheck{providerWorld: w, batch: batch, from: from, outcomes: map[string][]int{}}
}

// providerResponse is a response with what it shows of providers.
type providerResponse struct {
	Data       any
	Errors     []providerError
	Extensions struct{ Cache struct{ Status string } }

	q         providerRequest
	now       time.Time // by the clock of the process
	body      string
	maxAge    time.Duration // -1 if it must not be stored
	sights    []providerSight
	audiences map[int32][]string // of the tokens in it
}

type providerError struct {
	Path       []any
	Extensions struct{ Code string }
}

func (e providerError) path() string {
	parts := make([]string, len(e.Path))
	for i, p := range e.Path {
		parts[i] = fmt.Sprint(p)
	}
	return strings.Join(parts, ".")
}

// providerSight is a provider in a response. Without fields it is null.
type providerSight struct {
	path   string
	pk     int32
	fields map[string]any
}

func (r *providerResponse) stale() bool { return r.Extensions.Cache.Status == "STALE" }

func (c *providerCheck) fatalf(r *providerResponse, format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s\n%+v\nat %s of process %d, TTL %s, stale %s, redacted %v, lost %t\n%s\nanswers: %s",
		fmt.Sprintf(format, args...), r.q, r.now.Format("05.000"), r.q.process, c.ttl, c.staleIfError, c.redacted, c.lost, r.body, c.history(r.q.caller))
}

// history lists what authentik said to a caller.
func (c *providerCheck) history(caller string) string {
	var b strings.Builder
	for i, a := range c.answers.all {
		if a.caller == caller {
			fmt.Fprintf(&b, "\n%d: process %d, provider %d at %s: %d rejected %t garbage %t listed %t", i, a.process, a.pk, a.at.Format("05.000"), a.status, a.rejected, a.garbage, a.listed)
		}
	}
	return b.String()
}

// read parses a response and finds the providers in it.
func (c *providerCheck) read(q providerRequest, got *httptest.ResponseRecorder) *providerResponse {
	r := &providerResponse{q: q, body: got.Body.String(), maxAge: -1, audiences: map[int32][]string{}}
	r.now = c.clock.Now().Add(time.Duration(c.processes[q.process].skew.Load()))
	if err := json.Unmarshal(got.Body.Bytes(), r); err != nil || got.Code != 200 {
		c.fatalf(r, "status %d, %v", got.Code, err)
	}
	if seconds, ok := strings.CutPrefix(got.Header().Get("Cache-Control"), "private, max-age="); ok {
		n, err := strconv.Atoi(seconds)
		if err != nil {
			c.fatalf(r, "Cache-Control: %v", got.Header())
		}
		r.maxAge = time.Duration(n) * time.Second
	}
	if r.maxAge >= 0 && (r.stale() || len(r.Errors) > 0) {
		c.fatalf(r, "it may be stored: %v", got.Header())
	}
	c.walk(r, "", r.Data)
	return r
}

// walk finds the providers in a value, and the audiences of tokens.
func (c *providerCheck) walk(r *providerResponse, path string, v any) {
	if pk, asked := r.q.roots[strings.TrimPrefix(path, ".")]; asked && v == nil {
		r.sights = append(r.sights, providerSight{strings.TrimPrefix(path, "."), pk, nil})
	}
	switch v := v.(type) {
	case []any:
		for i, of := range v {
			c.walk(r, fmt.Sprintf("%s.%d", path, i), of)
		}
	case map[string]any:
		switch v["__typename"] {
		case "OAuth2Provider":
			r.sights = append(r.sights, providerSight{strings.TrimPrefix(path, "."), int32(v["pk"].(float64)), v}) //nolint:gosec // an Int
		case "AccessToken":
			if owner := v["user"].(map[string]any)["username"]; owner != r.q.caller && r.q.caller != upstreamtest.UserRoot {
				c.fatalf(r, "token %v of %v", v["id"], owner)
			}
			if by, revoked := c.revoked[v["id"].(string)]; revoked && (!c.lost || by == r.q.process) {
				c.fatalf(r, "token %v is shown after it was revoked", v["id"])
			}
			claims, _ := v["claims"].(map[string]any)
			if aud, ok := claims["aud"].(string); ok {
				pk := int32(v["provider"].(map[string]any)["pk"].(float64)) //nolint:gosec // an Int
				r.audiences[pk] = append(r.audiences[pk], aud)
			}
		}
		for name, of := range v {
			c.walk(r, path+"."+name, of)
		}
	}
}

// audience is the client id that the tokens of a response tell of a provider, nil unless they tell one.
func (c *providerCheck) audience(r *providerResponse, pk int32) any {
	told := slices.Compact(slices.Sorted(slices.Values(r.audiences[pk])))
	if len(told) != 1 || slices.Contains(c.redacted, "OAuth2Provider.clientId") || slices.Contains(c.redacted, "AccessToken.claims") {
		return nil
	}
	return told[0]
}

// response checks a response.
func (c *providerCheck) response(q providerRequest, got *httptest.ResponseRecorder) {
	r := c.read(q, got)
	codes := providerCodes{ofRoot: map[string]string{}, ofFailed: map[int32]string{}}
	for _, e := range r.Errors {
		c.blame(r, e, codes)
	}
	shown := map[int32]int{}
	for _, s := range r.sights {
		number, ok := c.settings(r, s)
		if before, again := shown[s.pk]; again && ok && before != number {
			c.fatalf(r, "provider %d of two answers, %d and %d", s.pk, before, number)
		}
		code := codes.ofFailed[s.pk]
		if s.fields == nil {
			code = codes.ofRoot[s.path]
		}
		switch {
		case ok && code != "":
			c.fatalf(r, "provider %d with an error: %s", s.pk, code)
		case ok:
			shown[s.pk] = number
			c.shown(r, s.pk, number)
		case code == "" && s.fields != nil && !c.tells(q):
			number = isUnknown
		default:
			if number = c.missing(r, s, code); r.stale() && number == wasRefused {
				number = isUnknown // now or before
			}
		}
		_, isRoot := q.roots[s.path]
		if !q.mutation && (isRoot || c.selects(q, lackedSelections)) {
			key := q.caller + fmt.Sprint(s.pk)
			c.outcomes[key] = append(c.outcomes[key], number)
		}
	}
	if !c.late && r.stale() && !c.failing(r, 0) {
		c.fatalf(r, "stale, but nothing failed")
	}
}

// providerCodes are the codes of errors: of providers that are null, and of providers that could not be read.
type providerCodes struct {
	ofRoot   map[string]string // by path
	ofFailed map[int32]string  // by primary key
}

// blame finds the provider that an error is about.
func (c *providerCheck) blame(r *providerResponse, e providerError, codes providerCodes) {
	path, code := e.path(), e.Extensions.Code
	parent := path[:max(0, strings.LastIndexByte(path, '.'))]
	refusal := code == "FORBIDDEN" || code == "NOT_FOUND"
	for _, s := range r.sights {
		switch {
		case s.path == path && s.fields == nil:
			codes.ofRoot[path] = code
			if !refusal {
				codes.ofFailed[s.pk] = code
			}
			return
		case s.path == path || s.path == parent && (refusal || codes.ofFailed[s.pk] != "" && len(r.q.roots) == 0):
			c.fatalf(r, "%s at %s of provider %d", code, path, s.pk)
		case s.path == parent:
			codes.ofFailed[s.pk] = code
			return
		}
	}
	// It is about a token, of which authentik only fails if it rejects the caller, or if it is not asked.
	switch {
	case code == "NOT_FOUND" && !strings.Contains(path, "okens"):
	case code == "UNAUTHENTICATED" && c.rejected(r):
	case code == "UPSTREAM_UNAVAILABLE" && c.notAsked(r.q.process):
	case c.late:
	default:
		c.fatalf(r, "%s at %s", code, path)
	}
}

// settings returns the number of the answer that the settings of a provider are from. ok is false if there are none.
func (c *providerCheck) settings(r *providerResponse, s providerSight) (number int, ok bool) {
	texts := map[string]any{}
	for name := range lackedSelections {
		if value, selected := s.fields[name]; selected {
			texts[name] = value
		}
	}
	if uris, _ := texts["redirectUris"].([]any); len(uris) > 0 {
		texts["redirectUris"] = uris[0].(map[string]any)["url"]
		if slices.Contains(c.redacted, "RedirectURI.url") {
			if texts["redirectUris"] != nil {
				c.fatalf(r, "a redacted URL is shown")
			}
			delete(texts, "redirectUris")
		}
	}
	var marks []providerMark
	for name, value := range texts {
		text, _ := value.(string)
		mark, marked := parseProviderMark(text)
		switch {
		case value != nil && slices.Contains(c.redacted, lackedSelections[name]):
			c.fatalf(r, "a redacted %s is shown", name)
		case marked:
			marks = append(marks, mark)
		case value != nil && name != "clientId":
			c.fatalf(r, "%s is %v", name, value)
		}
	}
	if len(marks) == 0 {
		return 0, false
	}
	for _, mark := range marks {
		if mark != marks[0] || mark.caller != r.q.caller || mark.pk != s.pk {
			c.fatalf(r, "%s sees of provider %d what authentik said in %v", r.q.caller, s.pk, marks)
		}
	}
	for name, value := range texts {
		if value == nil && name != "clientSecret" && !slices.Contains(c.redacted, lackedSelections[name]) {
			c.fatalf(r, "%s is missing", name)
		}
	}
	return marks[0].number, true
}

// shown checks that a response may show an answer: by its age, and because nothing else was said since.
func (c *providerCheck) shown(r *providerResponse, pk int32, number int) {
	a := c.answers.all[number]
	c.inTime(r, number)
	if last := c.last(r, pk, func(b providerAnswer) bool { return b.process == r.q.process }); last > number {
		c.fatalf(r, "provider %d of answer %d is shown after answer %d", pk, number, last)
	}
	switch {
	case number >= c.from:
	case c.isFresh(r, a):
		c.counts.fresh++
	default:
		c.counts.stale++
		c.notStaleAfterProxy(r, number)
		denied := c.last(r, pk, func(b providerAnswer) bool { return !b.shown() })
		if denied > number {
			c.fatalf(r, "provider %d of answer %d is shown stale, but answer %d denied it", pk, number, denied)
		}
	}
	if a.listed && number >= c.from {
		c.counts.list++
	}
}

// notStaleAfterProxy checks that an answer is not shown stale after something before authentik refused the caller.
func (c *providerCheck) notStaleAfterProxy(r *providerResponse, number int) {
	a := c.answers.all[number]
	for i, b := range c.answers.all[number:] {
		if b.ofProxy() && b.caller == a.caller && b.pk == a.pk && !c.lost && (number+i < c.from || len(c.batch) == 1) {
			c.fatalf(r, "provider %d of answer %d is shown stale after the page %d of a proxy", a.pk, number, number+i)
		}
	}
}

// isFresh reports whether an answer is fresh by the clock of the process.
func (c *providerCheck) isFresh(r *providerResponse, a providerAnswer) bool {
	age := r.now.Sub(a.at)
	return c.ttl > 0 && age >= -maxCredible && age < c.ttl
}

// inTime checks that an answer is not too old for a response, and that the response does not say it is younger.
func (c *providerCheck) inTime(r *providerResponse, number int) {
	a := c.answers.all[number]
	age := r.now.Sub(a.at)
	switch {
	case number < c.from && !c.isFresh(r, a) && (!r.stale() || age < 0 || age >= c.ttl+c.staleIfError || c.ttl == 0):
		c.fatalf(r, "answer %d about provider %d is shown at the age of %s, stale: %t", number, a.pk, age, r.stale())
	case r.maxAge > max(0, c.ttl-age):
		c.fatalf(r, "answer %d about provider %d is fresh for %s, but max-age is %s", number, a.pk, c.ttl-age, r.maxAge)
	}
}

// last returns the number of the last answer before the requests that was no failure, that a process certainly used,
// and that is one of those; -1 if there is none, or if that is not known because Redis failed.
func (c *providerCheck) last(r *providerResponse, pk int32, which func(providerAnswer) bool) int {
	for i := c.from - 1; i >= 0; i-- {
		a := c.answers.all[i]
		if a.caller == r.q.caller && a.pk == pk && !a.failed() && !a.unused && !a.perhapsUnused && !c.lost && which(a) {
			return i
		}
	}
	return -1
}

// missing checks that a provider without settings was refused, or that authentik failed, and says which.
func (c *providerCheck) missing(r *providerResponse, s providerSight, code string) (outcome int) {
	isRoot := s.fields == nil
	switch clientID := s.fields["clientId"]; {
	case clientID != nil && code != "":
		c.fatalf(r, "provider %d has a client id and the error %s", s.pk, code)
	case clientID != nil && clientID != c.audience(r, s.pk):
		c.fatalf(r, "the client id of provider %d is %v", s.pk, clientID)
	}
	switch {
	case r.q.mutation: // for which authentik is not asked
	case code == "" && isRoot:
		c.fatalf(r, "%s is null without an error", s.path)
	case code == "" || code == "FORBIDDEN" || code == "NOT_FOUND":
		c.refused(r, s, code)
		return wasRefused
	case code == "UNAUTHENTICATED":
		c.counts.rejected++
		if !c.rejected(r) {
			c.fatalf(r, "%s was not rejected", r.q.caller)
		}
		return wasRejected
	case !c.failing(r, s.pk):
		c.fatalf(r, "provider %d: %s, but authentik did not fail", s.pk, code)
	default:
		c.counts.failed++
		c.mustFail(r, s.pk)
	}
	return hasFailed
}

// refused checks that authentik refused a provider.
func (c *providerCheck) refused(r *providerResponse, s providerSight, code string) {
	last := c.last(r, s.pk, func(b providerAnswer) bool { return b.process == r.q.process })
	found := -1
	for i, a := range c.answers.all {
		right := code == "" || code == "FORBIDDEN" && a.status == 403 || code == "NOT_FOUND" && a.status == 404
		age := r.now.Sub(a.at)
		if right && a.caller == r.q.caller && a.pk == s.pk && a.refused() && !a.unused && i >= last &&
			(i >= c.from || c.isFresh(r, a) || r.stale() && age < c.ttl+c.staleIfError) && (found < 0 || !a.at.Before(c.answers.all[found].at)) {
			found = i
		}
	}
	if found < 0 {
		c.fatalf(r, "provider %d is missing, but was not refused; the last answer is %d", s.pk, last)
	}
	c.inTime(r, found)
	switch a := c.answers.all[found]; {
	case found >= c.from:
	case c.isFresh(r, a):
		c.counts.refused++
	default:
		c.counts.staleRefusal++
		c.notStaleAfterProxy(r, found)
	}
	if _, selected := s.fields["clientId"]; selected {
		if s.fields["clientId"] != c.audience(r, s.pk) {
			c.fatalf(r, "the client id of refused provider %d is %v, want %v", s.pk, s.fields["clientId"], c.audience(r, s.pk))
		}
		if s.fields["clientId"] != nil {
			c.counts.audience++
		}
	}
}

// rejected reports whether authentik lately did not accept the caller's token.
func (c *providerCheck) rejected(r *providerResponse) bool {
	return slices.ContainsFunc(c.answers.all, func(a providerAnswer) bool {
		return a.caller == r.q.caller && a.rejected && r.now.Sub(a.at) <= recently
	})
}

// failing reports whether authentik lately failed for a provider, or for any if pk is 0.
func (c *providerCheck) failing(r *providerResponse, pk int32) bool {
	return c.notAsked(r.q.process) || slices.ContainsFunc(c.answers.all, func(a providerAnswer) bool {
		return a.caller == r.q.caller && (a.pk == pk || pk == 0) && a.failed() && r.now.Sub(a.at) <= recently
	})
}

// notAsked reports whether a process ever found authentik so often failing that it did not ask.
func (c *providerCheck) notAsked(process int) bool {
	return c.late || scrapeHandler(c.test, c.processes[process].service.AdminHandler())["upstream_rejected_total"] > 0
}

// mustFail checks, where there is but one process, that there is nothing stale to show instead of a failure.
func (c *providerCheck) mustFail(r *providerResponse, pk int32) {
	if c.redis != nil || c.late || c.ttl == 0 || c.staleIfError == 0 {
		return
	}
	last := c.last(r, pk, func(providerAnswer) bool { return true })
	for i, a := range c.answers.all {
		if a.caller == r.q.caller && a.pk == pk &&
			(i >= last && (a.rejected || a.ofProxy()) || a.failed() && a.status < 500 && r.now.Sub(a.at) <= recently) {
			return // nothing stale is shown after that
		}
	}
	if last < 0 {
		return
	}
	if age := r.now.Sub(c.answers.all[last].at); age >= 0 && age < c.ttl+c.staleIfError {
		c.fatalf(r, "provider %d fails, but answer %d may be shown stale", pk, last)
	}
}

// calls checks what the requests cost authentik, and which answers of lists they used.
func (c *providerCheck) calls() {
	needed, singly, lists, useless := false, 0, 0, false
	for _, q := range c.batch {
		needed = needed || !q.mutation && (len(q.roots) > 0 || c.selects(q, lackedSelections))
	}
	r := &providerResponse{q: c.batch[0], now: c.clock.Now()}
	for i := c.from; i < len(c.answers.all); i++ {
		a := &c.answers.all[i]
		if a.listed {
			lists++
			useless = useless || a.garbage && a.status < 500
			outcomes, needed := c.outcomes[a.caller+fmt.Sprint(a.pk)]
			a.unused, a.perhapsUnused = !needed, !c.usesList(i, outcomes)
			continue
		}
		singly++
		c.needless(i)
	}
	switch {
	case c.late:
	case !needed && singly+lists > 0:
		c.fatalf(r, "%d providers and %d lists were read for nothing", singly, lists/askedProviders)
	case len(c.batch) == 1 && (lists > askedProviders || !useless && (singly > 5 || lists > 0 && singly > 0)):
		c.fatalf(r, "%d providers and %d lists were read", singly, lists/askedProviders)
	}
}

// usesList reports whether a response certainly shows what a list says of a provider, and nothing that was said
// before.
func (c *providerCheck) usesList(number int, outcomes []int) bool {
	a := c.answers.all[number]
	only := func(outcome int) bool {
		return len(c.batch) == 1 && !slices.ContainsFunc(outcomes, func(o int) bool { return o != outcome })
	}
	switch {
	case a.shown():
		return slices.Contains(outcomes, number)
	case a.refused():
		return only(wasRefused) && !slices.ContainsFunc(c.answers.all[:c.from], func(b providerAnswer) bool {
			return b.caller == a.caller && b.pk == a.pk && b.refused() && c.isFresh(&providerResponse{now: a.at}, b)
		})
	default:
		return only(wasRejected)
	}
}

// needless checks, where there is but one process, that an answer was not asked for while there was a fresh one.
func (c *providerCheck) needless(number int) {
	a := c.answers.all[number]
	if c.redis != nil || c.late {
		return
	}
	r := &providerResponse{q: providerRequest{caller: a.caller}, now: a.at}
	last := c.last(r, a.pk, func(providerAnswer) bool { return true })
	if last >= 0 && !c.answers.all[last].rejected && c.isFresh(r, c.answers.all[last]) {
		c.fatalf(r, "answer %d was asked for while answer %d is fresh", number, last)
	}
}
