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
	"slices"
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

// startBrowser starts Chromium with an empty profile and returns its context. Without Chromium the test is
// skipped, or fails if CI=true.
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

// startStrippingProxy serves target below prefix and returns the proxy's address. A request outside the
// prefix fails the test: a URL in the page is not relative.
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

// page is an open page and the problems that the browser reported.
type page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests int
	problems []string
}

// openPage opens an address in a new tab and waits until it shows a CSS selector.
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

// note records requests to other origins, errors on the console and violations of the page's policy, which
// arrive as log entries. The browser calls it from its own goroutine.
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
		// GraphiQL's dialogs cause warnings about accessibility.
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

// do runs actions. A failure shows the browser's reports, which mostly say why.
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

// quiet fails the test if the browser reported a problem.
func (p *page) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests == 0 {
		p.t.Error("no request was seen: other origins are not checked")
	}
	for _, problem := range slices.Compact(p.problems) {
		p.t.Error(problem)
	}
}
