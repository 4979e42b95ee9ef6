package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestPlaygroundInBrowser uses the Playground of the demonstration as its users do, in a real
// browser that can reach nothing but the service.
func TestPlaygroundInBrowser(t *testing.T) {
	browser := startBrowser(t)
	base := startDemo(t)

	t.Run("at the root", func(t *testing.T) {
		p := openPlayground(t, browser, base+"/")
		p.runQuery()
		p.screenshot()
		p.runTab("PageOfCodes", `"hasNextPage": true`)
		p.runTab("RevokeCode", `"uncertain": false`)
		p.storageHoldsNoToken()
		p.survivesReload()
		p.docsShowField()
		p.offersField()
		p.opensSettings()
		p.quiet()
	})
	t.Run("below a path prefix", func(t *testing.T) {
		p := openPlayground(t, browser, startStrippingProxy(t, base, "/tools/gql")+"/tools/gql/")
		p.runQuery()
		p.quiet()
	})
}

// startBrowser starts Chromium with an empty profile and returns its context. Without Chromium it
// skips the test, except in CI, where that would go unnoticed.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	program := findBrowser()
	if program == "" {
		const message = "no chromium, chromium-browser or google-chrome on PATH: the pages are not tested in a browser"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1440, 900),
		chromedp.DisableGPU,
		chromedp.NoSandbox, // root, as in most CI containers, has none; only our own pages are opened
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
	)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("stop %s: %v", program, err)
		}
	})
	return ctx
}

// findBrowser returns the path of the first browser on PATH, or "".
func findBrowser() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	return ""
}

// startStrippingProxy serves target below prefix and returns the address of the proxy. What is
// asked for outside prefix fails the test: a URL in the page is not relative.
func startStrippingProxy(t *testing.T, target, prefix string) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", http.StripPrefix(prefix, proxy))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("request outside the prefix: %s", r.URL.Path)
		http.NotFound(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// page is an open page and what the browser had to say about it.
type page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests int
	problems []string
}

// openPlayground opens address in a tab of its own and waits until GraphiQL is there.
func openPlayground(t *testing.T, browser context.Context, address string) *page {
	t.Helper()
	return openPage(t, browser, address, ".graphiql-execute-button")
}

// openPage opens address in a tab of its own and waits until it shows what the selector names.
func openPage(t *testing.T, browser context.Context, address, shows string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	origin, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(event any) { p.note(event, origin) }); err != nil {
		t.Fatalf("listen: %v", err)
	}
	p.do("open the page",
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
			return err
		}),
		chromedp.Navigate(address),
		chromedp.WaitVisible(chromedp.CSS(shows)),
	)
	return p
}

// note records attempts to leave origin, errors on the console and violations of the page's
// policy, which arrive as log entries. The browser calls it from its own goroutine.
func (p *page) note(event any, origin *url.URL) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests++
		to, err := url.Parse(e.Request.URL)
		if err != nil || to.Scheme != "data" && (to.Scheme != origin.Scheme || to.Host != origin.Host) {
			p.problems = append(p.problems, "request to another origin: "+e.Request.URL)
		}
	case *log.EventEntryAdded:
		p.problems = append(p.problems, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.problems = append(p.problems, "exception: "+text)
	case *runtime.EventConsoleAPICalled:
		// Warnings are left out: GraphiQL's dialogs earn one for their accessibility.
		if e.Type == runtime.ConsoleAPICalledTypeError {
			p.problems = append(p.problems, fmt.Sprintf("console %s: %s", e.Type, consoleText(e)))
		}
	}
}

// consoleText joins the arguments of a console call.
func consoleText(e *runtime.EventConsoleAPICalled) string {
	var words []string
	for _, argument := range e.Args {
		words = append(words, string(argument.Value), argument.Description)
	}
	return strings.Join(words, " ")
}

// do runs actions and fails the test with what could not be done. On a failure the browser's own
// complaints mostly tell why.
func (p *page) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.t.Fatalf("%s: %v; the browser reported %q", what, err, p.problems)
	}
}

// until waits for a JavaScript expression to become true.
func until(expression string) chromedp.Action[chromedp.Void] {
	poll := chromedp.Poll[bool](expression)
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := poll(ctx, target)
		return err
	})
}

// runQuery runs the query of the first tab as it is and reads the answer.
func (p *page) runQuery() {
	p.t.Helper()
	p.do("run the first tab's query",
		until(`document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.getValue().includes('authorizationCode')`),
		until(`document.querySelector('.graphiql-editor-tool .CodeMirror') !== null`),
		chromedp.Click(chromedp.CSS(".graphiql-execute-button")),
		until(`document.querySelector('.result-window .CodeMirror').CodeMirror.getValue().includes('"username": "alice"')`),
	)
}

// runTab runs the tab of that title as it is and waits for its answer.
func (p *page) runTab(title, answer string) {
	p.t.Helper()
	p.do("run the tab "+title,
		until(fmt.Sprintf(`[...document.querySelectorAll('[id^=graphiql-session-tab-]')].filter((tab) => tab.innerText.trim() === %q).map((tab) => tab.click()).length === 1`, title)),
		until(fmt.Sprintf(`document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.operationName === %q`, title)),
		chromedp.Click(chromedp.CSS(".graphiql-execute-button")),
		until(fmt.Sprintf(`document.querySelector('.result-window .CodeMirror').CodeMirror.getValue().includes(%q)`, answer)),
	)
}

// docsShowField opens the documentation pane and follows the query type to authorizationCode.
func (p *page) docsShowField() {
	p.t.Helper()
	p.do("read the documentation",
		chromedp.Click(chromedp.CSS(`button[aria-label="Show Documentation Explorer"]`)),
		chromedp.WaitVisible(chromedp.CSS(".graphiql-doc-explorer a.graphiql-doc-explorer-type-name")),
		chromedp.Click(chromedp.CSS(".graphiql-doc-explorer a.graphiql-doc-explorer-type-name")),
		until(`document.querySelector('.graphiql-doc-explorer').innerText.includes('authorizationCode')`),
	)
}

// offersField types the beginning of the field into a new tab and waits for the suggestion.
func (p *page) offersField() {
	p.t.Helper()
	p.do("complete a field",
		chromedp.Click(chromedp.CSS(".graphiql-tab-add")),
		until(`!document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.getValue().includes('authorizationCode')`),
		chromedp.Click(chromedp.CSS(".graphiql-query-editor .CodeMirror")),
		chromedp.KeyEvent("{ au"),
		until(`[...document.querySelectorAll('.CodeMirror-hints li')].some((hint) => hint.innerText.includes('authorizationCode'))`),
	)
}

// opensSettings opens and closes a dialog, which needs the nonce of the page's policy.
func (p *page) opensSettings() {
	p.t.Helper()
	p.do("open the settings",
		chromedp.Click(chromedp.CSS(`button[aria-label="Open settings dialog"]`)),
		chromedp.WaitVisible(chromedp.CSS(".graphiql-dialog")),
		until(`document.querySelector('style[nonce]')?.sheet?.cssRules.length > 0`),
		chromedp.KeyEvent("\x1b"),
		chromedp.WaitNotPresent(chromedp.CSS(".graphiql-dialog")),
	)
}

// storageHoldsNoToken waits until GraphiQL has stored its tabs and its history, both of which it
// does with headers unless it is kept from it, and looks for the token.
func (p *page) storageHoldsNoToken() {
	p.t.Helper()
	p.do("wait for the stored tabs and history",
		until(`['tabState', 'queries'].every((name) => Object.keys(localStorage).some((key) => key.endsWith(':graphiql:' + name)))`))
	stored, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](
		`JSON.stringify([{...localStorage}, {...sessionStorage}]) + document.cookie`))
	if err != nil {
		p.t.Fatalf("read storage: %v", err)
	}
	for _, secret := range []string{"demo-alice", "Bearer"} {
		if strings.Contains(stored, secret) {
			p.t.Errorf("browser storage holds %q:\n%s", secret, stored)
		}
	}
}

// survivesReload opens the page again and finds the same tabs, the stored variables, and the
// headers of a new tab in place of those that were not stored.
func (p *page) survivesReload() {
	p.t.Helper()
	const editors = `JSON.stringify([
		document.querySelectorAll('[id^=graphiql-session-tab-]').length,
		[...document.querySelectorAll('.graphiql-editors .CodeMirror')].map((editor) => editor.CodeMirror.getValue()),
	])`
	before, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](editors))
	if err != nil {
		p.t.Fatalf("read the editors: %v", err)
	}
	p.do("see the open tab stored, a moment after it was opened",
		until(`JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith(':graphiql:tabState'))[1]).activeTabIndex ===
			[...document.querySelectorAll('.graphiql-tab')].findIndex((tab) => tab.matches('.graphiql-tab-active'))`))
	p.do("find the editors as they were, "+before+",",
		chromedp.Reload(),
		until(editors+" === "+strconv.Quote(before)),
	)
}

// quiet fails the test if the browser had anything to complain about.
func (p *page) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests == 0 {
		p.t.Error("no request was seen: the check for other origins is blind")
	}
	for _, problem := range slices.Compact(p.problems) {
		p.t.Error(problem)
	}
}

// screenshot saves a picture of the page to $PLAYGROUND_SCREENSHOT, or else beside the test's
// other output.
func (p *page) screenshot() {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("screenshot: %v", err)
	}
	file := os.Getenv("PLAYGROUND_SCREENSHOT")
	if file == "" {
		file = filepath.Join(p.t.ArtifactDir(), "playground.png")
	}
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		p.t.Fatal(err)
	}
}
