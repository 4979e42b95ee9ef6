package document

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/maypok86/otter/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/internal/apierror"
)

// hash is the SHA-256 of a document's text, by which Apollo's protocol asks for it.
type hash [sha256.Size]byte

func hashOf(text string) hash { return sha256.Sum256([]byte(text)) }

// TextStore shares the texts of persisted queries between processes. It may lose one: a client sends it
// again.
type TextStore interface {
	// Text returns the text with a SHA-256, if it is kept. The caller checks it.
	Text(ctx context.Context, hash [sha256.Size]byte) (text string, ok bool)
	// Keep keeps the text of a valid document.
	Keep(ctx context.Context, hash [sha256.Size]byte, text string)
}

// Options of a [Library].
type Options struct {
	Schema *ast.Schema
	Limits Limits
	// Suggest lets errors suggest names.
	Suggest bool
	// Trusted are documents that can be asked for by their id.
	Trusted Trusted
	// TrustedOnly allows no other document, but for a gateway's query of the schema.
	TrustedOnly bool
	// Texts shares persisted queries; nil shares none.
	Texts TextStore
	// MaxBytes is about how many bytes of documents are kept.
	MaxBytes uint64
}

// Library finds the documents of requests, and keeps those that were used recently.
type Library struct {
	parser
	options   Options
	documents *otter.Cache[hash, *Document]
}

// NewLibrary makes a library.
func NewLibrary(o Options) (*Library, error) {
	documents, err := otter.New(&otter.Options[hash, *Document]{
		MaximumWeight: o.MaxBytes,
		Weigher:       func(_ hash, d *Document) uint32 { return d.weight() },
	})
	if err != nil {
		return nil, fmt.Errorf("document: make the cache: %w", err)
	}
	return &Library{newParser(o.Schema, o.Limits, o.Suggest), o, documents}, nil
}

// Size returns how many documents are kept, and about how many bytes they take.
func (l *Library) Size() (entries int, bytes uint64) {
	return l.documents.EstimatedSize(), l.documents.WeightedSize()
}

// Query names a document as a request does: by its text, by its hash (Apollo's automatic persisted
// queries) with or without the text, or by the id of a trusted document.
type Query struct {
	Text, Hash, ID string
}

// Result is a document, or why there is none.
type Result struct {
	Document *Document
	// AST is also that of an invalid document, if it could be parsed.
	AST *ast.QueryDocument
	// Errors are those of a document that cannot be executed.
	Errors gqlerror.List
	// Refused is the error of a request that does not name a document as it should.
	Refused *apierror.Error
	// Trusted reports that the operator of the service chose the document.
	Trusted bool
}

// Operation returns the operation of a name, or the only one. An invalid document has operations as well,
// so that a mutation by GET is refused as such, whatever else is wrong with it.
func (r Result) Operation(name string) *ast.OperationDefinition {
	if r.AST == nil {
		return nil
	}
	return r.AST.Operations.ForName(name)
}

func notTrusted(message string) Result {
	return Result{Errors: apierror.New(apierror.DocumentNotTrusted, message).List()}
}

func valid(doc *Document) Result { return Result{Document: doc, AST: doc.AST} }

// Find returns the document of a request. A name that is not known is refused, whatever else the
// request has.
func (l *Library) Find(ctx context.Context, q Query) Result {
	id := q.ID
	if id == "" {
		id = q.Hash
	}
	if doc := l.options.Trusted[id]; doc != nil {
		if q.Text != "" && q.Text != doc.Text {
			return Result{Refused: apierror.New(apierror.BadRequest, "The query is not the trusted document with this id.")}
		}
		return Result{Document: doc, AST: doc.AST, Trusted: true}
	}
	switch {
	case q.ID != "" && len(l.options.Trusted) == 0:
		return notTrusted("This service has no trusted documents.")
	case q.ID != "":
		return notTrusted("No trusted document has this documentId.")
	case q.Text == "":
		return l.persisted(ctx, q.Hash)
	}
	h := hashOf(q.Text)
	switch {
	case q.Hash != "" && q.Hash != hex.EncodeToString(h[:]):
		return Result{Refused: apierror.New(apierror.BadRequest, "extensions.persistedQuery.sha256Hash is not the SHA-256 of the query.")}
	case l.options.TrustedOnly && !l.asksForSDL(q.Text):
		return notTrusted("This service runs trusted documents only: ask for one by its id.")
	}
	found := l.prepare(q.Text, h)
	if q.Hash != "" && found.Document != nil && l.options.Texts != nil && !l.options.TrustedOnly {
		l.options.Texts.Keep(ctx, h, q.Text)
	}
	return found
}

// prepare returns the document of a text.
func (l *Library) prepare(text string, h hash) Result {
	if doc, ok := l.documents.GetIfPresent(h); ok {
		return valid(doc)
	}
	parsed, errs := l.parse(text)
	if errs != nil {
		return Result{Errors: errs}
	}
	doc, errs := l.validate(parsed)
	if errs != nil {
		return Result{AST: parsed.ast, Errors: errs}
	}
	l.documents.Set(h, doc)
	return valid(doc)
}

// asksForSDL reports whether a text asks for the subgraph's schema and nothing else, as gateways do.
func (l *Library) asksForSDL(text string) bool {
	doc, errs := l.parse(text)
	if errs != nil || len(doc.ast.Fragments) > 0 {
		return false
	}
	for _, op := range doc.ast.Operations {
		for _, selection := range op.SelectionSet {
			if f, ok := selection.(*ast.Field); !ok || f.Name != "_service" && f.Name != "__typename" {
				return false
			}
		}
	}
	return true
}

// persisted finds a document by its hash, in 64 lower-case hexadecimal digits.
func (l *Library) persisted(ctx context.Context, digits string) Result {
	decoded, err := hex.DecodeString(digits)
	if err == nil && len(decoded) == sha256.Size && digits == strings.ToLower(digits) && !l.options.TrustedOnly {
		h := hash(decoded)
		if doc, ok := l.documents.GetIfPresent(h); ok {
			return valid(doc)
		}
		if l.options.Texts != nil {
			if text, ok := l.options.Texts.Text(ctx, h); ok && hashOf(text) == h {
				return l.prepare(text, h)
			}
		}
	}
	return Result{Refused: apierror.New(apierror.PersistedQueryNotFound, "PersistedQueryNotFound")} // the client sends the text
}
