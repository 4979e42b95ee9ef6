package graph

import (
	"bytes"
	"hash/maphash"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// spelling is a document as a request spells it, a text in JSON. A document that was spelled the same
// before is known by that, without its text being made: most requests of a client differ in the
// variables alone.
type spelling struct {
	documents *documents
	document  *document // nil if it is not known
	text      string
	// raw is how a text is spelled that is not known.
	raw []byte
}

var _ json.UnmarshalerFrom = (*spelling)(nil)

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (s *spelling) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if s.document = s.documents.spelled(raw); s.document != nil {
		s.text = s.document.text
		return nil
	}
	s.raw = bytes.Clone(raw)
	return json.Unmarshal(raw, &s.text)
}

// spelt is a document with a way in which it is spelled.
type spelt struct {
	raw      []byte
	document *document
}

// spelled returns the document that is known to be spelled so, or nil.
func (d *documents) spelled(raw []byte) *document {
	if s, ok := d.spellings.GetIfPresent(maphash.Bytes(d.seed, raw)); ok && bytes.Equal(s.raw, raw) {
		return s.document
	}
	return nil
}

// learn notes how a document is spelled.
func (d *documents) learn(raw []byte, doc *document) {
	if doc != nil && raw != nil {
		d.spellings.Set(maphash.Bytes(d.seed, raw), spelt{raw, doc})
	}
}
