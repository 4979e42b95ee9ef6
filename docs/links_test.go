package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"authentik-graphql/internal/servicetest"
)

// pages returns the module's own Markdown files, by their paths from its root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all, root := map[string]string{}, os.DirFS(servicetest.Root(t))
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "dist"):
			return fs.SkipDir
		case strings.HasSuffix(path, ".md"):
			all[path] = servicetest.File(t, path)
		}
		return nil
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	return all
}

var fenced = regexp.MustCompile("(?ms)^```.*?^```$")

// TestLinks: every link of a page has its file, and its heading there.
func TestLinks(t *testing.T) {
	all, root := pages(t), servicetest.Root(t)
	headings := map[string]map[string]bool{}
	for path, text := range all {
		headings[path] = map[string]bool{}
		for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			headings[path][anchor(h[1])] = true
		}
	}
	for path, text := range all {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			target, heading, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: nothing is at %s", path, link[1])
			} else if heading != "" && !headings[to][heading] {
				t.Errorf("%s: no heading at %s", path, link[1])
			}
		}
	}
}

// anchor returns the anchor of a heading.
func anchor(heading string) string {
	heading = strings.ReplaceAll(strings.ToLower(heading), " ", "-")
	return regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(heading, "")
}
