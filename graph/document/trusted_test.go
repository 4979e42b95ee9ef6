package document

import "testing"

// FuzzTrusted reads any file. The result is an error or documents that can be executed.
func FuzzTrusted(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":"{__typename}"}`, `{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","body":"{__typename}"}]}`,
		`{"format":"{__typename}","operations":"{__typename}"}`, `[]`, `{"":"{__typename}"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		trusted, err := ReadTrusted(content, testSchema(), defaultLimits())
		if err == nil && len(trusted) == 0 {
			t.Fatal("no document and no error")
		}
		for id, doc := range trusted {
			if id == "" || doc == nil || len(doc.AST.Operations) == 0 {
				t.Fatalf("%q: %v", id, doc)
			}
		}
	})
}
