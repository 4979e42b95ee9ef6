package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"authentik-graphql/upstream/upstreamtest"
)

// TestDashboardRoutes: the demonstration alone serves the dashboard, as a page that may do little.
func TestDashboardRoutes(t *testing.T) {
	a := startApp(t, []string{"-demo"})
	demo := a.URL
	if !strings.Contains(a.Stdout.String(), demo+"/dashboard\n") {
		t.Errorf("the demo does not print the address:\n%s", a.Stdout)
	}
	plain := startApp(t, nil, "AUTHENTIK_URL="+startFake(t, upstreamtest.Options{}).URL).URL
	types := map[string]string{
		"/dashboard":               "text/html; charset=utf-8",
		"/dashboard/dashboard.js":  "text/javascript; charset=utf-8",
		"/dashboard/dashboard.css": "text/css; charset=utf-8",
		"/dashboard/examples.json": "application/json",
	}
	for path, want := range types {
		got := send(t, newRequest(t, http.MethodGet, demo+path, nil))
		h := got.Header
		if got.Status != 200 || h.Get("Content-Type") != want || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, got.Status, h)
		}
		if csp := h.Get("Content-Security-Policy"); path == "/dashboard" && (!strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe")) {
			t.Errorf("Content-Security-Policy: %q", csp)
		}
		if got := send(t, newRequest(t, http.MethodPost, demo+path, nil)); got.Status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, got.Status)
		}
		if got := send(t, newRequest(t, http.MethodGet, plain+path, nil)); got.Status != http.StatusNotFound {
			t.Errorf("without -demo, %s: %d", path, got.Status)
		}
	}
	if got := send(t, newRequest(t, http.MethodGet, startStrippingProxy(t, demo, "/tools")+"/tools/dashboard/", nil)); got.Status != 200 {
		t.Errorf("with a slash at its end: %d", got.Status)
	}
}

// TestDashboardInBrowser uses the demonstration's dashboard as its users do, in a real browser that
// can reach nothing but the service.
func TestDashboardInBrowser(t *testing.T) {
	browser := startBrowser(t)
	demo := startApp(t, []string{"-demo"}, "UPSTREAM_TIMEOUT=2s")

	t.Run("the demo's codes", func(t *testing.T) {
		p := openPage(t, browser, demo.URL+"/dashboard", "#cards")
		const timer = `[data-state=live]:not([data-id="17"]) .clock strong`
		p.do("see the first codes",
			until(cardShows("17", "Grafana", "Alice Example · alice", "openid", "profile", "days", "As of")),
			chromedp.WaitVisible(chromedp.CSS(timer)),
			until(`document.querySelector('#count').textContent === '6 codes'`),
		)
		p.do("see a countdown fall",
			until("(window.timer = document.querySelector(`"+timer+"`), window.first = timer.textContent) !== ''"),
			until(`/^0[01]:[0-5]\d$/.test(first) && /^0[01]:[0-5]\d$/.test(timer.textContent) && timer.textContent < first`),
		)
		p.picture("codes")
		p.do("remove a code", chromedp.Click(chromedp.CSS(`button[aria-label="Remove code 17"]`)),
			until(`!document.querySelector('[data-id="17"]') && document.activeElement.matches('[data-part=remove]')`))
		p.do("add it again by keyboard, with another",
			chromedp.Focus(chromedp.CSS("#ids")), chromedp.KeyEvent("17, 18\r"),
			until(cardShows("17", "Grafana")), until(cardShows("18", "There is no such code for you")))
		p.do("refuse what is no id",
			chromedp.KeyEvent("017\r"),
			until(`document.querySelector('#ids-problem').textContent.includes('“017” is not an id')`))
		p.do("become bob",
			chromedp.Focus(chromedp.CSS("#token")), until(`document.activeElement.select() === undefined`), chromedp.KeyEvent("demo-bob\r"),
			until(cardShows("18", "Mobile", "Bob Builder · bob")), until(cardShows("17", "There is no such code for you")))
		p.do("be nobody",
			until(`document.activeElement.select() === undefined`), chromedp.KeyEvent("nobody\r"),
			until(cardShows("18", "This token is not accepted", "not asked again")),
			until(`!document.querySelector('[data-id="18"]').innerText.includes('Bob')`))
		p.storesNothing()
		p.quiet()
	})
	t.Run("the demo's errors", func(t *testing.T) {
		p := openPage(t, browser, demo.URL+"/dashboard", "#examples button")
		p.do("add the errors", clickButton("Errors"))
		for id, text := range map[string][]string{
			"18":  {"NOT_FOUND", "There is no such code for you", "asked again in"},
			"200": {"UPSTREAM_INVALID_RESPONSE", "could not be understood", "asked again in"},
			"400": {"BAD_USER_INPUT", "does not accept this id", "not asked again"},
			"401": {"UNAUTHENTICATED", "This token is not accepted: enter another one above.", "not asked again"},
			"403": {"FORBIDDEN", "You are not allowed to see this code", "asked again in"},
			"404": {"NOT_FOUND", "There is no such code for you", "asked again in"},
			"429": {"RATE_LIMITED", "There were too many requests", "retry in"},
			"500": {"UPSTREAM_ERROR", "authentik failed to answer", "asked again in"},
			"503": {"UPSTREAM_UNAVAILABLE", "cannot be reached or is still starting", "retry in"},
			"504": {"GATEWAY_TIMEOUT", "did not answer in time", "asked again in"},
		} {
			p.do("see the error of "+id, until(cardShows(id, text...)))
		}
		p.do("hear the errors",
			until(`document.querySelector('[role=status]').textContent.includes('Code 504: authentik did not answer in time.')`))
		p.do("see no error of the others", until(cardShows("17", "Grafana", "As of")))
		p.picture("errors")
		p.do("remove what ended", chromedp.Click(chromedp.CSS("#clear")),
			until(`!document.querySelector('[data-id="404"]') && document.querySelector('[data-id="17"]') !== null`))
		p.quiet()
	})
	t.Run("below a path prefix", func(t *testing.T) {
		p := openPage(t, browser, startStrippingProxy(t, demo.URL, "/tools/gql")+"/tools/gql/dashboard", "#cards")
		p.do("see the first code", until(cardShows("17", "Grafana")))
		p.quiet()
	})
}

// TestDashboardAnswers shows the dashboard answers that the demonstration does not give, on a
// service whose clock is an hour ahead of the browser's.
func TestDashboardAnswers(t *testing.T) {
	browser := startBrowser(t)
	s := startScript(t)

	t.Run("codes", func(t *testing.T) {
		now := s.now()
		script := `<script>document.title = 'owned'</script>`
		image := `<img src="x" onerror="document.title = 'owned'">`
		s.answer("1", s.code(now.Add(40*time.Second), script, image))
		s.answer("2", s.code(time.Time{}, "Endless", "user"))
		s.answer("3", s.code(now.Add(-time.Hour), "Past", "user"))
		s.answer("4", strings.Replace(s.code(now.Add(time.Hour), "Old", "user"), `{"data"`, `{"extensions":{"cache":{"status":"STALE","age":0,"reason":"stale-if-error"}},"data"`, 1))
		s.answer("5", s.code(now.Add(2*time.Hour+30*time.Minute), "Lasting", "user"), failure("UPSTREAM_UNAVAILABLE", `,"retryAfter":7`))
		s.answer("6", s.code(now.Add(time.Minute), "Going", "user"), failure("NOT_FOUND", ""))
		s.answer("7", s.code(now.Add(3*time.Second), "Ending", "user"))
		s.answer("8", failure("INTERNAL_SERVER_ERROR", ""))
		s.answer("9", failure("constructor", ""))

		p := openPage(t, browser, s.URL+"/dashboard", "#examples button")
		p.do("see markup as text, and the service's time", until(cardShows("1", script, image, `<b>scope</b>`, "\n00:3", "As of")))
		p.do("see no markup at work", until(`document.title === 'Authorization codes' && !document.querySelector('.card :is(script, img, b)')`))
		p.do("see an endless code", until(cardShows("2", "Never expires")))
		p.do("see one that is alive after its end", until(cardShows("3", "Never expires")))
		p.do("see stale data marked", until(cardShows("4", "Old", "Stale, as of")))
		p.do("see the last known data", until(cardShows("5", "Lasting", "2:29:", "cannot be reached", "retry in", "Last known, as of")))
		p.do("see a code go", until(cardShows("6", "This code is gone", "Code 6")), until(`!document.querySelector('[data-id="6"]').innerText.includes('Going')`))
		p.do("see a code expire", until(cardShows("7", "Ending", "Expired")))
		p.do("see the request id", until(cardShows("8", "Something went wrong in the service. Quote the request id R-1.")))
		p.do("see an error that the page does not know", until(cardShows("9", "The service refused the request. Quote the request id R-1.", "constructor")))
		p.quiet()
		p.picture("answers")
	})
	t.Run("when to ask", func(t *testing.T) {
		s := startScript(t)
		s.answer("1", "private, max-age=100\n"+s.code(time.Time{}, "Fresh", "user"))
		s.answer("2", "private, max-age=40\n"+s.code(time.Time{}, "Fresh", "user"))
		s.answer("3", failure("RATE_LIMITED", `,"retryAfter":70`))
		s.answer("4", failure("BAD_USER_INPUT", ""))
		p := openPage(t, browser, s.URL+"/dashboard", "#examples button")
		p.do("see the answers", until(cardShows("1", "Fresh")), until(cardShows("2", "Fresh")), until(cardShows("3", "retry in")), until(cardShows("4", "not asked again")))
		if got := p.asked(true, 600); len(got[0]) != 0 {
			t.Errorf("hidden, the page asks for %q", got[0])
		}
		want := [][]string{{}, {"2"}, {"3"}, {"1"}, {}}
		if got := p.asked(false, 20, 60, 85, 120, 600); !reflect.DeepEqual(got, want) {
			t.Errorf("the page asks for %q, not %q", got, want)
		}
		p.quiet()
	})
	t.Run("no answers", func(t *testing.T) {
		s.answer("1", "hang up")
		s.answer("2", "<html>Bad Gateway")
		p := openPage(t, browser, s.URL+"/dashboard", "#examples button")
		p.do("see that nobody answers", until(cardShows("1", "The service cannot be reached", "NETWORK")))
		p.do("see that a proxy answers", until(cardShows("2", "gave no proper answer", "HTTP 502")))
		s.answer("1", s.code(time.Time{}, "Back", "user"))
		p.do("see it come back", until(cardShows("1", "Back", "Never expires")),
			until(`document.querySelector('[role=status]').textContent.includes('Code 1 is shown again.')`))
	})
}

// script stands in for the service: it gives the answers that a test wrote, by id and in turn.
type script struct {
	URL     string
	mu      sync.Mutex
	answers map[string][]string
}

func startScript(t *testing.T) *script {
	t.Helper()
	s := &script{answers: map[string][]string{}}
	mux := http.NewServeMux()
	dashboard(func() dashboardExamples {
		s.mu.Lock()
		defer s.mu.Unlock()
		var ids []string
		for id := range s.answers {
			ids = append(ids, id)
		}
		return dashboardExamples{Token: "token", IDs: ids, Examples: []dashboardExample{{Label: "Again", IDs: ids}}}
	}).addTo(mux)
	mux.HandleFunc("POST /graphql", s.serve)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// now is the service's time, which is not the browser's.
func (s *script) now() time.Time { return time.Now().Add(time.Hour).UTC() }

// answer sets what the service answers for an id; the last answer is repeated. A Cache-Control header
// may stand before it in a line of its own.
func (s *script) answer(id string, answers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[id] = answers
}

func (s *script) serve(w http.ResponseWriter, r *http.Request) {
	var body struct{ Variables struct{ ID string } }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Authorization") != "Bearer token" {
		http.Error(w, "not what the page sends", http.StatusTeapot)
		return
	}
	s.mu.Lock()
	answers := s.answers[body.Variables.ID]
	if len(answers) > 1 {
		s.answers[body.Variables.ID] = answers[1:]
	}
	s.mu.Unlock()
	answer := answers[0]
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	if freshness, rest, ok := strings.Cut(answer, "\n"); ok {
		w.Header().Set("Cache-Control", freshness)
		answer = rest
	}
	switch {
	case answer == "hang up":
		panic(http.ErrAbortHandler)
	case !strings.HasPrefix(answer, "{"):
		w.WriteHeader(http.StatusBadGateway)
	}
	_, _ = w.Write([]byte(answer))
}

// code is the answer for a code that ends at expires, or never if that is zero.
func (s *script) code(expires time.Time, application, user string) string {
	var end any
	if !expires.IsZero() {
		end = expires.Format(time.RFC3339Nano)
	}
	b, err := json.Marshal(map[string]any{"data": map[string]any{"authorizationCode": map[string]any{
		"isExpired": false, "expires": end, "fetchedAt": s.now().Format(time.RFC3339Nano), "scope": []string{"<b>scope</b>"},
		"user":     map[string]string{"username": user, "name": ""},
		"provider": map[string]any{"name": application, "assignedApplicationName": nil},
	}}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func failure(code, extensions string) string {
	return fmt.Sprintf(`{"errors":[{"message":"m","path":["authorizationCode"],"extensions":{"code":%q,"requestId":"R-1"%s}}],"data":{"authorizationCode":null}}`, code, extensions)
}

// cardShows is true when the card of a code shows all the texts.
func cardShows(id string, texts ...string) string {
	list, err := json.Marshal(texts)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`%s.every((text) => document.querySelector('[data-id="%s"]')?.innerText.includes(text))`, list, id)
}

// clickButton clicks the example with that label.
func clickButton(label string) chromedp.Action[chromedp.Void] {
	return until(fmt.Sprintf(`[...document.querySelectorAll('#examples button')].filter((b) => b.textContent === %q).map((b) => b.click()).length === 1`, label))
}

// asked sets the page's clock forward, by each of the seconds in turn, and returns the ids that the
// page then asks for. It does so in one step of the page's program, which sends nothing from here on.
func (p *page) asked(hidden bool, seconds ...int) [][]string {
	p.t.Helper()
	ids, err := chromedp.Run(p.ctx, chromedp.Evaluate[[][]string](fmt.Sprintf(`(() => {
		const hidden = %t, now = performance.now.bind(performance);
		let ids, skip;
		performance.now = () => now() + skip * 1000;
		window.fetch = (_, { body }) => { ids.push(JSON.parse(body).variables.id); return new Promise(() => {}); };
		Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
		const asked = %s.map((seconds) => {
			[ids, skip] = [[], seconds];
			document.dispatchEvent(new Event('visibilitychange'));
			return ids;
		});
		performance.now = now;
		return asked;
	})()`, hidden, strings.ReplaceAll(fmt.Sprint(seconds), " ", ","))))
	if err != nil {
		p.t.Fatalf("set the page's clock: %v", err)
	}
	return ids
}

// storesNothing fails the test if the page left anything in the browser.
func (p *page) storesNothing() {
	p.t.Helper()
	stored, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](
		`JSON.stringify([{...localStorage}, {...sessionStorage}]) + document.cookie + location.search + location.hash`))
	if err != nil || stored != "[{},{}]" {
		p.t.Errorf("the browser keeps %s, %v", stored, err)
	}
}

// picture takes the page's picture, wide and as on a phone, light and dark, and fails the test if
// anything is wider than the window.
func (p *page) picture(name string) {
	p.t.Helper()
	for _, width := range []int64{1440, 390} {
		for _, scheme := range []string{"light", "dark"} {
			p.do("resize the window",
				chromedp.EmulateViewport(width, 900),
				chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
					_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
						Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
					})
					return err
				}),
				until(fmt.Sprintf("innerWidth === %d && matchMedia('(prefers-color-scheme: %s)').matches", width, scheme)),
			)
			wide, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](`[document.documentElement, ...document.querySelectorAll('body *')]
				.filter((e) => !e.closest('.unseen') && (e === document.documentElement ? e.scrollWidth : e.getBoundingClientRect().right) > innerWidth).map((e) => e.outerHTML.slice(0, 100))`))
			if err != nil || len(wide) > 0 {
				p.t.Errorf("at %d pixels these are wider than the window: %q, %v", width, wide, err)
			}
			shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				p.t.Fatalf("screenshot: %v", err)
			}
			file := filepath.Join(p.t.ArtifactDir(), fmt.Sprintf("dashboard-%s-%d-%s.png", name, width, scheme))
			if err := os.WriteFile(file, shot, 0o600); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	p.do("restore the window", chromedp.EmulateViewport(1440, 900))
}
