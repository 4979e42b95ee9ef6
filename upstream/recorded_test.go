package upstream_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// recording is one answer of a real authentik to a GET: a code, or another answer. Equal answers are kept
// once, and pages without their text.
type recording struct {
	Case string
	// Body is the code of a 200.
	Body json.RawMessage
	// Other answers have a status, headers and a text.
	Status int
	Header map[string]string
	Text   string
	// Want is what the answer means. It was derived from the contract of authentik's API, not from this
	// package.
	Want struct {
		Kind       string
		RetryAfter int // seconds
		Fields     []string
	}
}

// recordedReleases are the names of the files under testdata/recorded. "examples" are bodies
// made by hand from authentik's OpenAPI documents.
func recordedReleases(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/recorded/*.jsonl")
	if err != nil || len(files) != 7 {
		t.Fatalf("recordings: %d files, error %v", len(files), err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".jsonl")
	}
	return files
}

func recordings(t testing.TB, release string) []recording {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "recorded", release+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recording
	for line := range bytes.Lines(raw) {
		var r recording
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s, line %d: %v", release, len(all)+1, err)
		}
		all = append(all, r)
	}
	return all
}

// recordedCodes calls f with each recorded code as a subtest.
func recordedCodes(t *testing.T, f func(t *testing.T, release string, r recording)) {
	for _, release := range recordedReleases(t) {
		t.Run(release, func(t *testing.T) {
			n := 0
			for _, r := range recordings(t, release) {
				if r.Body != nil {
					n++
					t.Run(r.Case, func(t *testing.T) { f(t, release, r) })
				}
			}
			if n < 10 {
				t.Errorf("only %d codes", n)
			}
		})
	}
}

// recordedCode is the body of one case.
func recordedCode(t testing.TB, release, name string) []byte {
	t.Helper()
	all := recordings(t, release)
	i := slices.IndexFunc(all, func(r recording) bool { return r.Case == name && r.Body != nil })
	if i < 0 {
		t.Fatalf("no case %s of %s", name, release)
	}
	return all[i].Body
}

// golden compares got with a file, or writes it under -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", path, got)
	}
}
