package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"authentik-graphql/upstream/upstreamtest"
)

// providerCallers are the tokens of those who ask, by their names.
var providerCallers = map[string]string{
	upstreamtest.UserAlice: upstreamtest.TokenAlice,
	upstreamtest.UserBob:   upstreamtest.TokenBob,
	upstreamtest.UserDave:  upstreamtest.TokenDave,
	upstreamtest.UserRoot:  upstreamtest.TokenRoot,
}

// askedProviders is up to which primary key providers are asked for. The last one does not exist.
const askedProviders = 9

// providerAnswer is what authentik said about a provider to a caller, through a process.
type providerAnswer struct {
	process int
	caller  string
	pk      int32
	at      time.Time // by the clock of the process
	status  int
	// rejected reports that authentik did not accept the token, garbage that the answer is not authentik's.
	rejected, garbage bool
	// listed reports that a list said so. A list may say it unused, of a provider that nobody asked for, or
	// perhaps unused, because another read was under way.
	listed, unused, perhapsUnused bool
}

func (a providerAnswer) shown() bool { return a.status == http.StatusOK && !a.garbage }
func (a providerAnswer) refused() bool {
	return (a.status == 403 || a.status == 404) && !a.rejected && !a.garbage
}
func (a providerAnswer) failed() bool { return !a.shown() && !a.refused() && !a.rejected }

// ofProxy reports that something before authentik refused the caller.
func (a providerAnswer) ofProxy() bool { return a.status == 403 && a.garbage && !a.listed }

// providerMark is what stands in the settings of a provider. No two answers have the same.
type providerMark struct {
	caller string
	pk     int32
	number int // of the answer
}

func (m providerMark) String() string { return fmt.Sprintf("%s/%d/%d", m.caller, m.pk, m.number) }

func parseProviderMark(s string) (m providerMark, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return m, false
	}
	pk, err := strconv.Atoi(parts[1])
	number, err2 := strconv.Atoi(parts[2])
	return providerMark{parts[0], int32(pk), number}, err == nil && err2 == nil //nolint:gosec // made by String
}

// providerAnswers are all answers about providers, in their order.
type providerAnswers struct {
	mu  sync.Mutex
	all []providerAnswer
}

func (l *providerAnswers) add(a providerAnswer) providerMark {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, a)
	return providerMark{a.caller, a.pk, len(l.all) - 1}
}

func (l *providerAnswers) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// providerWitness is authentik as a process sees it. It marks what authentik says about providers, and records it.
type providerWitness struct {
	authentik http.Handler
	answers   *providerAnswers
	process   int
	now       func() time.Time
}

func (w *providerWitness) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	below, ok := strings.CutPrefix(r.URL.Path, upstreamtest.Providers.Path())
	if !ok {
		w.authentik.ServeHTTP(to, r)
		return
	}
	r.Header.Del("Accept-Encoding")
	got := httptest.NewRecorder()
	w.authentik.ServeHTTP(got, r)
	body := got.Body.Bytes()
	var parsed map[string]any
	if json.Unmarshal(body, &parsed) != nil {
		parsed = nil
	}
	said := providerAnswer{process: w.process, at: w.now(), status: got.Code, listed: below == ""}
	for caller, token := range providerCallers {
		if r.Header.Get("Authorization") == "Bearer "+token {
			said.caller = caller
		}
	}
	said.rejected = said.status == 403 && parsed["detail"] == "Token invalid/expired"
	if said.listed {
		w.markList(said, parsed)
	} else {
		pk, _ := strconv.Atoi(strings.TrimSuffix(below, "/"))
		said.pk, said.garbage = int32(pk), parsed == nil //nolint:gosec // the service sends 32-bit numbers
		w.mark(said, parsed)
	}
	if said.status == http.StatusOK && parsed != nil {
		body, _ = json.Marshal(parsed)
	}
	maps.Copy(to.Header(), got.Header())
	to.Header().Set("Content-Length", strconv.Itoa(len(body)))
	to.WriteHeader(got.Code)
	_, _ = to.Write(body)
}

// markList records what a list says of each provider: that it shows it, or that it does not.
func (w *providerWitness) markList(said providerAnswer, list map[string]any) {
	rows, ok := list["results"].([]any)
	said.garbage = list == nil || said.status == http.StatusOK && !ok
	for pk := range int32(askedProviders) {
		said := said
		said.pk = pk + 1
		var found map[string]any
		for _, row := range rows {
			if p, _ := row.(map[string]any); p["pk"] == float64(said.pk) {
				found = p
			}
		}
		if said.shown() && found == nil {
			said.status = http.StatusNotFound
		}
		w.mark(said, found)
	}
}

// mark records an answer and marks the provider in it.
func (w *providerWitness) mark(said providerAnswer, p map[string]any) {
	mark := w.answers.add(said).String()
	if !said.shown() {
		return
	}
	for _, key := range []string{"client_id", "access_token_validity", "logout_uri"} {
		p[key] = mark
	}
	p["redirect_uris"] = []any{map[string]any{"matching_mode": "strict", "url": mark}}
	if _, shown := p["client_secret"]; shown {
		p["client_secret"] = mark
	}
}
