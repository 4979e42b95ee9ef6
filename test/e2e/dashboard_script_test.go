package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"authentik-graphql/internal/demo"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// inOrder is true if the cards are of different grants, newest first.
const inOrder = `[...document.querySelectorAll('.card')].every((card, i, all) => i === 0 || Number(card.dataset.id) < Number(all[i - 1].dataset.id))`

// script stands in for the service with the answers that a test sets for each operation.
type script struct {
	URL     string
	mu      sync.Mutex
	answers map[string][]string
}

func startScript(t *testing.T) *script {
	t.Helper()
	s := &script{answers: map[string][]string{}}
	mux := http.NewServeMux()
	page := demo.Dashboard([]demo.Caller{{Label: "A caller", Token: "token"}})
	mux.Handle("/dashboard", page)
	mux.Handle("/dashboard/", page)
	mux.HandleFunc("POST /graphql", s.serve)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// now returns the service's time, which differs from the browser's.
func (s *script) now() time.Time { return time.Now().Add(time.Hour).UTC() }

// answer sets the answers to an operation, named with its cursor or id. The last one is repeated. An answer
// may begin with a line for Cache-Control.
func (s *script) answer(operation string, answers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[operation] = answers
}

var operationName = regexp.MustCompile(`^(?:query|mutation) (\w+)`)

func (s *script) serve(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Query     string
		Variables struct{ ID, After string }
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	name := operationName.FindStringSubmatch(body.Query)
	if err != nil || name == nil || r.Header.Get("Authorization") != "Bearer token" {
		http.Error(w, "not what the page sends", http.StatusTeapot)
		return
	}
	operation := strings.TrimSpace(name[1] + " " + body.Variables.After + body.Variables.ID)
	s.mu.Lock()
	answers := s.answers[operation]
	if len(answers) > 1 {
		s.answers[operation] = answers[1:]
	}
	s.mu.Unlock()
	if len(answers) == 0 {
		http.Error(w, "no answer to "+operation, http.StatusTeapot)
		return
	}
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

// page returns the answer for a page of grants. There is a next page unless the cursor is empty.
func (s *script) page(cursor string, total int, grants ...string) string {
	return fmt.Sprintf(`{"data":{"page":{"totalCount":%d,"pageInfo":{"hasNextPage":%t,"endCursor":%q},"nodes":[%s]}}}`,
		total, cursor != "", cursor, strings.Join(grants, ","))
}

// grant returns a grant that ends at expires, or never if that is zero.
func (s *script) grant(id int, expires time.Time, application, user string) string {
	var end any
	if !expires.IsZero() {
		end = expires.Format(time.RFC3339Nano)
	}
	b, err := json.Marshal(map[string]any{
		"id": strconv.Itoa(id), "isExpired": false, "expires": end, "fetchedAt": s.now().Format(time.RFC3339Nano), "scope": []string{"<b>scope</b>"},
		"user":     map[string]string{"username": user, "name": ""},
		"provider": map[string]any{"name": application, "assignedApplicationName": nil},
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func failure(code, extensions string) string {
	return fmt.Sprintf(`{"errors":[{"message":"m","path":["page"],"extensions":{"code":%q,"requestId":"R-1"%s}}],"data":{"page":null}}`, code, extensions)
}

// cardShows is true if the card of a grant shows all texts.
func cardShows(id string, texts ...string) string {
	return shows(fmt.Sprintf(`[data-id="%s"]`, id), texts)
}

// pageShows is true if the page shows all texts.
func pageShows(texts ...string) string { return shows("body", texts) }

func shows(selector string, texts []string) string {
	list, err := json.Marshal(texts)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`%s.every((text) => document.querySelector('%s')?.innerText.includes(text))`, list, selector)
}

// cardsAre is true if the cards have these ids in this order.
func cardsAre(ids ...int) string {
	return fmt.Sprintf(`[...document.querySelectorAll('.card')].map((card) => card.dataset.id).join(' ') === '%s'`, strings.Trim(fmt.Sprint(ids), "[]"))
}

// asked advances the page's clock by each of the seconds in turn and returns how many requests the page makes
// then. The page sends none of them, nor any later one.
func (p *page) asked(hidden bool, seconds ...int) []int {
	p.t.Helper()
	counts, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]int](fmt.Sprintf(`(() => {
		const hidden = %t, now = performance.now.bind(performance);
		let count, skip;
		performance.now = () => now() + skip * 1000;
		window.fetch = () => { count++; return new Promise(() => {}); };
		Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
		const asked = %s.map((seconds) => {
			[count, skip] = [0, seconds];
			document.dispatchEvent(new Event('visibilitychange'));
			return count;
		});
		performance.now = now;
		return asked;
	})()`, hidden, strings.ReplaceAll(fmt.Sprint(seconds), " ", ","))))
	if err != nil {
		p.t.Fatalf("set the page's clock: %v", err)
	}
	return counts
}

// storesNothing fails the test if the page has stored anything in the browser.
func (p *page) storesNothing() {
	p.t.Helper()
	stored, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](
		`JSON.stringify([{...localStorage}, {...sessionStorage}]) + document.cookie + location.search + location.hash`))
	if err != nil || stored != "[{},{}]" {
		p.t.Errorf("the browser keeps %s, %v", stored, err)
	}
}

// picture takes pictures of the page, wide and narrow, light and dark. It fails the test if anything is wider
// than the window.
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
