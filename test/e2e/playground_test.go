package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPlaygroundInBrowser uses the demo's Playground in a real browser that can reach nothing but the
// service.
func TestPlaygroundInBrowser(t *testing.T) {
	t.Parallel()
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

// openPlayground opens the Playground in a new tab and waits for GraphiQL.
func openPlayground(t *testing.T, browser context.Context, address string) *page {
	t.Helper()
	return openPage(t, browser, address, ".graphiql-execute-button")
}

// runQuery runs the query of the first tab and waits for its answer.
func (p *page) runQuery() {
	p.t.Helper()
	p.do("run the first tab's query",
		until(`document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.getValue().includes('authorizationCode')`),
		until(`document.querySelector('.graphiql-editor-tool .CodeMirror') !== null`),
		chromedp.Click(chromedp.CSS(".graphiql-execute-button")),
		until(`document.querySelector('.result-window .CodeMirror').CodeMirror.getValue().includes('"username": "alice"')`),
	)
}

// runTab runs the query of the tab with a title and waits for its answer.
func (p *page) runTab(title, answer string) {
	p.t.Helper()
	p.do("run the tab "+title,
		until(fmt.Sprintf(`[...document.querySelectorAll('[id^=graphiql-session-tab-]')].filter((tab) => tab.innerText.trim() === %q).map((tab) => tab.click()).length === 1`, title)),
		until(fmt.Sprintf(`document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.operationName === %q`, title)),
		chromedp.Click(chromedp.CSS(".graphiql-execute-button")),
		until(fmt.Sprintf(`document.querySelector('.result-window .CodeMirror').CodeMirror.getValue().includes(%q)`, answer)),
	)
}

// docsShowField opens the documentation and follows the query type to authorizationCode.
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

// storageHoldsNoToken waits until GraphiQL has stored its tabs and history, which by default include headers,
// and searches them for the token.
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

// survivesReload reloads the page and wants the same tabs and variables. Headers are not stored: they must be
// those of a new tab.
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

// screenshot saves a picture of the page to $PLAYGROUND_SCREENSHOT, or among the test's artifacts.
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
