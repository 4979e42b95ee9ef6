package upstream_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

var update = flag.Bool("update", false, "write the golden files")

// recording is an answer of a real authentik to a request that this package makes. testdata/README.md describes
// the files.
type recording struct {
	// Cases are the names of the recorded exchanges with this answer.
	Cases    []string
	Request  string // retrieve, list, delete, provider, providers, ready or version
	Resource upstream.Resource
	Status   int // 0 is no answer
	Header   map[string]string
	Text     string
	// Rows are the numbers of the rows that were kept, from 1: one of a single object, the first of a list.
	Rows []int
	// PKs are those of all rows of a list.
	PKs        []upstream.PK
	Pagination json.RawMessage
	// Want is what an answer other than a 200 or 204 means. It was derived from the contract of authentik's API,
	// not from this package.
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
	if err != nil || len(files) != 8 {
		t.Fatalf("recordings: %d files, error %v", len(files), err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".jsonl")
	}
	return files
}

// recordings are the answers of a release, and the rows that they refer to.
func recordings(t testing.TB, release string) (all []recording, rows []json.RawMessage) {
	t.Helper()
	each := func(folder string, read func(line []byte) error) {
		raw, err := os.ReadFile(filepath.Join("testdata", folder, release+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range bytes.Lines(raw) {
			if n++; read(line) != nil {
				t.Fatalf("%s of %s, line %d: %v", folder, release, n, read(line))
			}
		}
	}
	each("rows", func(line []byte) error {
		rows = append(rows, bytes.TrimSpace(line))
		return nil
	})
	each("recorded", func(line []byte) error {
		var r recording
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		all = append(all, r)
		return nil
	})
	return all, rows
}

// recordedGrants are the rows of a release that are grants, by the names of their cases. A row of several
// answers is given once.
func recordedGrants(t testing.TB, release string) iter.Seq2[string, json.RawMessage] {
	all, rows := recordings(t, release)
	return func(yield func(string, json.RawMessage) bool) {
		seen := map[int]bool{}
		for _, r := range all {
			if r.Request != "retrieve" && r.Request != "list" {
				continue
			}
			for i, n := range r.Rows {
				if seen[n] {
					continue
				}
				seen[n] = true
				if !yield(fmt.Sprintf("%s/%s/%d", r.Resource, r.Cases[0], i), rows[n-1]) {
					return
				}
			}
		}
	}
}

// recordedCode is the body of one case.
func recordedCode(t testing.TB, release, name string) []byte {
	t.Helper()
	all, rows := recordings(t, release)
	i := slices.IndexFunc(all, func(r recording) bool { return slices.Contains(r.Cases, name) && len(r.Rows) == 1 })
	if i < 0 {
		t.Fatalf("no case %s of %s", name, release)
	}
	return rows[all[i].Rows[0]-1]
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
