package graph

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// TestSpelling: a document is known by how it was spelled, and any other spelling is read.
func TestSpelling(t *testing.T) {
	d := testDocuments(t)
	doc, _, errs := d.prepare("{ __typename }", hashOf("{ __typename }"))
	if errs != nil {
		t.Fatal(errs)
	}
	d.learn([]byte(`"{ __typename }"`), doc)
	for _, tt := range []struct {
		name, raw, text string
		known, fails    bool
	}{
		{"the same", `"{ __typename }"`, "{ __typename }", true, false},
		{"escaped", `"\u007b __typename }"`, "{ __typename }", false, false},
		{"another", `"{ __type }"`, "{ __type }", false, false},
		{"empty", `""`, "", false, false},
		{"null", `null`, "", false, false},
		{"a number", `1`, "", false, true},
		{"an object", `{"a":1}`, "", false, true},
		{"not UTF-8", "\"\xff\"", "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := spelling{documents: d}
			err := json.UnmarshalDecode(jsontext.NewDecoder(bytes.NewBufferString(tt.raw)), &s)
			if tt.fails != (err != nil) || !tt.fails && (s.text != tt.text || tt.known != (s.document == doc)) {
				t.Errorf("%q, known %t, error %v", s.text, s.document != nil, err)
			}
		})
	}
}

// TestSpellingIsTheTexts: what a request learns of how a document is spelled is of that very document.
func TestSpellingIsTheTexts(t *testing.T) {
	d := testDocuments(t)
	l := library{documents: d}
	for _, text := range []string{"{ __typename }", "{ a: __typename }", "{ nothing }", "{ a: __typename }", "{ __typename }"} {
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		s := spelling{documents: d}
		if err := json.UnmarshalDecode(jsontext.NewDecoder(bytes.NewBuffer(raw)), &s); err != nil {
			t.Fatal(err)
		}
		p := &params{spelling: s}
		p.Query = s.text
		if f := l.find(t.Context(), p); f.document != nil && f.document.text != text || (f.document == nil) != (text == "{ nothing }") {
			t.Errorf("%s: %+v", text, f.document)
		}
	}
}
