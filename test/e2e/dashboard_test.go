package e2e

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"authentik-graphql/upstream/upstreamtest"
)

// TestDashboardRoutes: only the demo serves the dashboard, with a strict policy.
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
		"/dashboard/service.js":    "text/javascript; charset=utf-8",
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

// TestDashboardInBrowser uses the demo's dashboard in a real browser that can reach nothing but the service.
func TestDashboardInBrowser(t *testing.T) {
	t.Parallel()
	browser := startBrowser(t)
	demo := startApp(t, []string{"-demo"}, "UPSTREAM_TIMEOUT=2s")

	t.Run("the demo's lists", func(t *testing.T) {
		p := openPage(t, browser, demo.URL+"/dashboard", ".card")
		const timer = `:is([data-state=live], [data-state=ending]) .clock strong`
		p.do("see everybody's newest codes, the newest first",
			until(`/^20 of 1\d\d codes$/.test(document.querySelector('#count').textContent)`), until(inOrder),
			until(pageShows("Grafana", "Mobile", "Alice Example · alice", "Bob Builder · bob", "openid", "Code 1", "As of", "Show more")),
		)
		p.do("see a countdown fall",
			until("(window.timer = document.querySelector(`"+timer+"`), window.first = timer.textContent) !== ''"),
			until(`/^0[01]:[0-5]\d$/.test(first) && /^0[01]:[0-5]\d$/.test(timer.textContent) && timer.textContent < first`),
		)
		p.do("see a new code come", until(`(window.newest ??= document.querySelector('.card').dataset.id) < document.querySelector('.card').dataset.id`))
		p.do("see more", chromedp.Click(chromedp.CSS("#more")), until(`document.querySelectorAll('.card').length >= 40`), until(inOrder))
		p.do("see them stay when the newest are asked for again", until(`(window.newer ??= document.querySelector('.card').dataset.id) < document.querySelector('.card').dataset.id`),
			until(`document.querySelectorAll('.card').length >= 40`), until(inOrder))
		p.picture("codes")
		p.do("see live ones only", chromedp.Click(chromedp.CSS("#live")),
			until(`[...document.querySelectorAll('.card:not([hidden])')].every((card) => card.dataset.state !== 'ended')`),
			until(`document.querySelectorAll('.card[data-state=ended][hidden]').length > 5`), chromedp.Click(chromedp.CSS("#live")))
		p.do("see refresh tokens, by keyboard", chromedp.Focus(chromedp.CSS("[value=codes]")), chromedp.KeyEvent(kb.ArrowRight+kb.ArrowRight),
			until(pageShows("refresh tokens", "Refresh token 1", "offline_access", "days")), until(`document.activeElement.value === 'refreshTokens'`))
		p.do("see access tokens", chromedp.KeyEvent(kb.ArrowLeft), until(pageShows("access tokens", "Access token 1")))

		const revoke = `[data-state=live] [data-part=revoke]`
		p.do("be asked before a revocation",
			until(`(window.target = document.querySelector('[data-state=live]')) !== null`), chromedp.Click(chromedp.CSS(revoke)),
			until(`document.querySelector('dialog').open && document.activeElement.textContent === 'Cancel'`),
			until(`['h3', '[data-part=user]'].every((part) => document.querySelector('dialog').innerText.includes(target.querySelector(part).textContent))`),
			until(`document.querySelector('dialog').innerText.includes(target.dataset.id)`))
		p.picture("question")
		p.do("leave it with Escape", chromedp.KeyEvent("\x1b"), until(`!document.querySelector('dialog').open && target.contains(document.activeElement) && target.dataset.state === 'live'`))
		p.do("leave it with Cancel", chromedp.KeyEvent("\r"), until(`document.querySelector('dialog').open`), chromedp.KeyEvent("\r"),
			until(`!document.querySelector('dialog').open && target.contains(document.activeElement) && target.dataset.state === 'live'`))
		p.do("revoke", chromedp.KeyEvent("\r"), until(`document.querySelector('dialog').open`), chromedp.KeyEvent("\t\r"),
			until(`target.dataset.state === 'ended' && target.innerText.includes('Revoked') && document.activeElement === target`),
			until(`document.querySelector('[role=status]').textContent.includes('Revoked')`))
		id, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`target.dataset.id`))
		if err != nil {
			t.Fatal(err)
		}
		if got := query(t, demo.URL, upstreamtest.TokenRoot, `{ accessToken(id: `+id+`) { id } }`); got.Codes() != "NOT_FOUND" {
			t.Errorf("after the revocation of %s: %s", id, got.Body)
		}

		p.do("become bob",
			chromedp.Focus(chromedp.CSS("#token")), until(`document.activeElement.select() === undefined`), chromedp.KeyEvent("demo-bob\r"),
			until(pageShows("Bob Builder")), until(`!document.querySelector('#cards').innerText.includes('Alice')`))
		p.do("be nobody",
			until(`document.activeElement.select() === undefined`), chromedp.KeyEvent("nobody\r"),
			until(pageShows("This token is not accepted: enter another one above.", "UNAUTHENTICATED", "not asked again")),
			until(`document.querySelectorAll('.card').length === 0`))
		p.storesNothing()
		p.quiet()
	})
	t.Run("below a path prefix", func(t *testing.T) {
		p := openPage(t, browser, startStrippingProxy(t, demo.URL, "/tools/gql")+"/tools/gql/dashboard", ".card")
		p.quiet()
	})
}

// TestDashboardAnswers gives the dashboard answers that the demo does not give, from a service whose clock
// is an hour ahead of the browser's.
func TestDashboardAnswers(t *testing.T) {
	t.Parallel()
	browser := startBrowser(t)

	t.Run("grants", func(t *testing.T) {
		s := startScript(t)
		now := s.now()
		script := `<script>document.title = 'owned'</script>`
		image := `<img src="x" onerror="document.title = 'owned'">`
		s.answer("Codes", s.page("", 5,
			s.grant(9, now.Add(40*time.Second), script, image),
			s.grant(8, time.Time{}, "Endless", "user"),
			s.grant(7, now.Add(-time.Hour), "Past", "user"),
			s.grant(6, now.Add(2*time.Hour+30*time.Minute), "Lasting", "user"),
			s.grant(5, now.Add(3*time.Second), "Ending", "user")))
		p := openPage(t, browser, s.URL+"/dashboard", ".card")
		p.do("see markup as text, and the service's time", until(cardShows("9", script, image, `<b>scope</b>`, "00:3", "left, until")))
		p.do("see no markup at work", until(`document.title === 'Codes and tokens' && !document.querySelector('.card :is(script, img, b)')`))
		p.do("see an endless code", until(cardShows("8", "Never expires")))
		p.do("see one that is alive after its end", until(cardShows("7", "Never expires")))
		p.do("see hours", until(cardShows("6", "Lasting", "2:29:")))
		p.do("see a code expire", until(cardShows("5", "Ending", "Expired")))
		p.do("see that it cannot be revoked", until(`document.querySelector('[data-id="5"] [data-part=revoke]').hidden`))
		s.answer("AccessTokens", s.page("", 1, strings.Replace(s.grant(4, now.Add(time.Hour), "Used", "user"), "{", `{"revoked":true,`, 1)))
		p.do("see a revoked token", chromedp.Click(chromedp.CSS("[value=accessTokens]")), until(cardShows("4", "Revoked", "kept to notice a second use")))
		p.do("see that none is live", chromedp.Click(chromedp.CSS("#live")), until(pageShows("None of these access tokens is live.", "0 of 1")),
			until(`document.querySelector('[data-id="4"]').hidden`), chromedp.Click(chromedp.CSS("#live")))
		s.answer("RefreshTokens", s.page("", 0))
		p.do("see that there is none", chromedp.Click(chromedp.CSS("[value=refreshTokens]")), until(pageShows("There are no refresh tokens that you may see.", "0 of 0")))
		p.quiet()
	})
	t.Run("errors", func(t *testing.T) {
		s := startScript(t)
		good := s.page("", 1, s.grant(1, time.Time{}, "Known", "user"))
		s.answer("Codes", good)
		p := openPage(t, browser, s.URL+"/dashboard", ".card")
		for _, tt := range []struct {
			answer string
			kept   bool
			texts  []string
		}{
			{failure("RATE_LIMITED", `,"retryAfter":7`), true, []string{"There were too many requests.", "RATE_LIMITED", "retry in 7 s"}},
			{failure("UPSTREAM_ERROR", ""), true, []string{"authentik failed to answer.", "asked again in"}},
			{failure("UPSTREAM_UNAVAILABLE", `,"retryAfter":9`), true, []string{"authentik cannot be reached or is still starting.", "retry in 9 s"}},
			{failure("GATEWAY_TIMEOUT", ""), true, []string{"authentik did not answer in time.", "asked again in"}},
			{failure("UPSTREAM_INVALID_RESPONSE", ""), true, []string{"authentik’s answer could not be understood.", "asked again in"}},
			{failure("INTERNAL_SERVER_ERROR", ""), true, []string{"Something went wrong in the service. Quote the request id R-1."}},
			{"hang up", true, []string{"The service cannot be reached.", "NETWORK"}},
			{"<html>Bad Gateway", true, []string{"gave no proper answer", "HTTP 502"}},
			{failure("FORBIDDEN", ""), false, []string{"You are not allowed to see these.", "asked again in 30 s"}},
			{failure("UNAUTHENTICATED", ""), false, []string{"This token is not accepted: enter another one above.", "not asked again"}},
			{failure("constructor", ""), false, []string{"The service refused the request. Quote the request id R-1.", "constructor"}},
		} {
			s.answer("Codes", tt.answer)
			p.do("see "+tt.answer, chromedp.Click(chromedp.CSS("#refresh")), until(pageShows(tt.texts...)))
			p.do("hear it", until(`document.querySelector('[role=status]').lastElementChild.textContent === document.querySelector('#fault-sentence').textContent`))
			if tt.kept {
				p.do("see what was known", until(cardShows("1", "Known")), until(pageShows("Last known, as of")))
			} else {
				p.do("see nothing that was known", until(`document.querySelectorAll('.card').length === 0`))
			}
			s.answer("Codes", good)
			p.do("see it come back", chromedp.Click(chromedp.CSS("#refresh")), until(cardShows("1", "Known")), until(`document.querySelector('#fault').hidden`))
		}
		s.answer("Codes", strings.Replace(good, `{"data"`, `{"extensions":{"cache":{"status":"STALE","age":0,"reason":"stale-if-error"}},"data"`, 1))
		p.do("see stale data marked", chromedp.Click(chromedp.CSS("#refresh")), until(pageShows("Stale, as of")))
	})
	t.Run("revocations", func(t *testing.T) {
		s := startScript(t)
		grants := make([]string, 8)
		for i := range grants {
			grants[i] = s.grant(9-i, time.Time{}, "Application", "user")
		}
		s.answer("Codes", "private, max-age=100\n"+s.page("", 8, grants...))
		p := openPage(t, browser, s.URL+"/dashboard", ".card")
		const missing = "You may not revoke this: authentik’s permission to delete it is missing."
		for id, tt := range map[string]struct {
			answer string
			gone   bool
			texts  []string
		}{
			"9": {`{"data":{"done":{"id":"9","uncertain":false}}}`, true, []string{"Revoked"}},
			"8": {`{"data":{"done":{"id":"8","uncertain":true}}}`, true, []string{"Gone", "authentik’s answer was lost. It is gone."}},
			"7": {failure("NOT_FOUND", `,"upstreamStatus":404`), true, []string{"Gone", "It was gone already: used, revoked or cleaned up."}},
			"6": {failure("FORBIDDEN", `,"upstreamStatus":403`), false, []string{missing, "FORBIDDEN"}},
			"5": {strings.Replace(failure("FORBIDDEN", ""), `"m"`, `"Only read."`, 1), false, []string{"Only read.", "FORBIDDEN"}},
			"4": {failure("GATEWAY_TIMEOUT", ""), false, []string{"authentik did not answer in time. It may be revoked or not: try again."}},
			"3": {"hang up", false, []string{"The service cannot be reached. It may be revoked or not: try again.", "NETWORK"}},
			"2": {failure("INTERNAL_SERVER_ERROR", ""), false, []string{"Something went wrong in the service. Quote the request id R-1."}},
		} {
			s.answer("RevokeCode "+id, tt.answer)
			p.do("revoke "+id, chromedp.Click(chromedp.CSS(`[data-id="`+id+`"] [data-part=revoke]`)), until(`document.querySelector('dialog').open`),
				chromedp.Click(chromedp.CSS(`dialog .danger`)), until(cardShows(id, tt.texts...)),
				until(fmt.Sprintf(`document.querySelector('[data-id="%s"] [data-part=revoke]').hidden === %t`, id, tt.gone)))
		}
		p.picture("revocations")
		s.answer("RevokeCode 6", `{"data":{"done":{"id":"6","uncertain":false}}}`)
		s.answer("Codes", s.page("", 3, grants[4:7]...))
		p.do("try again", chromedp.Click(chromedp.CSS(`[data-id="6"] [data-part=revoke]`)), chromedp.Click(chromedp.CSS(`dialog .danger`)),
			until(cardShows("6", "Revoked")), until(`!document.querySelector('[data-id="6"]').innerText.includes('FORBIDDEN')`))
		p.do("see what was revoked stay a while, and not counted", until(`document.querySelector('#count').textContent === '3 of 3 codes'`),
			until(cardShows("9", "Revoked")), until(`!document.querySelector('[data-id="2"]')`))
	})
	t.Run("pages", func(t *testing.T) {
		s := startScript(t)
		grants := func(ids ...int) (list []string) {
			for _, id := range ids {
				list = append(list, s.grant(id, time.Time{}, "Application", "user"))
			}
			return list
		}
		s.answer("Codes", "private, max-age=100\n"+s.page("after 28", 6, grants(30, 29, 28)...))
		s.answer("Codes after 28", s.page("after 25", 6, grants(27, 26, 25)...))
		p := openPage(t, browser, s.URL+"/dashboard", ".card")
		p.do("see more", chromedp.Click(chromedp.CSS("#more")), until(cardsAre(30, 29, 28, 27, 26, 25)), until(cardShows("25", "As of")))
		s.answer("Codes", s.page("after 30", 7, grants(32, 31, 30)...))
		p.do("see new ones above", chromedp.Click(chromedp.CSS("#refresh")), until(cardsAre(32, 31, 30, 29, 28, 27, 26, 25)))
		s.answer("Codes", s.page("after 28", 7, grants(32, 30, 28)...))
		p.do("see what is left out go", chromedp.Click(chromedp.CSS("#refresh")), until(cardsAre(32, 30, 28, 27, 26, 25)))
		s.answer("Codes after 25", failure("GATEWAY_TIMEOUT", ""), s.page("", 7, grants(24)...))
		p.do("see a page fail", chromedp.Click(chromedp.CSS("#more")), until(pageShows("did not answer in time")), until(cardsAre(32, 30, 28, 27, 26, 25)))
		p.do("see the last page", chromedp.Click(chromedp.CSS("#more")), until(cardsAre(32, 30, 28, 27, 26, 25, 24)), until(`document.querySelector('#more').hidden`))
		s.answer("Codes", s.page("after 58", 30, grants(60, 59, 58)...))
		p.do("see a gap closed from above", chromedp.Click(chromedp.CSS("#refresh")), until(cardsAre(60, 59, 58)), until(`!document.querySelector('#more').hidden`))
		s.answer("Codes", s.page("after 58", 30, grants(60, 59, 58)...), s.page("", 1, grants(12)...))
		p.do("see all of a short list", chromedp.Click(chromedp.CSS("#refresh")), until(cardsAre(12)))
		p.quiet()
	})
	t.Run("when to ask", func(t *testing.T) {
		s := startScript(t)
		s.answer("Codes", "private, max-age=40\n"+s.page("", 1, s.grant(1, time.Time{}, "Fresh", "user")))
		p := openPage(t, browser, s.URL+"/dashboard", ".card")
		if got := p.asked(true, 600); got[0] != 0 {
			t.Errorf("hidden, the page asks %d times", got[0])
		}
		if got, want := p.asked(false, 20, 41, 600), []int{0, 1, 0}; !reflect.DeepEqual(got, want) { // one is still pending
			t.Errorf("the page asks %d times, not %d", got, want)
		}
		p.quiet()
	})
}
