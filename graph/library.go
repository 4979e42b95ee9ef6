package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/internal/apierror"
)

// TextStore keeps the texts of persisted queries for all processes. It does what it can: a text
// that is lost is sent again by its client.
type TextStore interface {
	// Text returns the text with a SHA-256, if it is kept. The caller checks it.
	Text(ctx context.Context, hash [sha256.Size]byte) (text string, ok bool)
	// Keep keeps a text that is a valid document.
	Keep(ctx context.Context, hash [sha256.Size]byte, text string)
}

// library finds the document of a request: the text in it, a trusted document, or a persisted
// query (Apollo's protocol of automatic persisted queries).
type library struct {
	documents *documents
	trusted   Trusted
	// only tells that nothing but trusted documents is run, and _service.
	only  bool
	texts TextStore // nil if no text is shared
}

// found is a document, or why there is none.
type found struct {
	document *document
	tree     *ast.QueryDocument // also of a document that is not valid
	errs     gqlerror.List
	fault    *fault
	// trusted tells that the operator of the service chose the document.
	trusted bool
}

// errNotKept is told with status 200, whatever the answer's media type: that is the protocol.
var errNotKept = refused(http.StatusOK, apierror.PersistedQueryNotFound, "PersistedQueryNotFound")

var errOtherText = badRequest("extensions.persistedQuery.sha256Hash is not the SHA-256 of the query.")

func notTrusted(message string) found {
	return found{errs: apierror.New(apierror.DocumentNotTrusted, message).List()}
}

// find returns the document of a request. What names one that is not there is refused, whatever
// else the request has.
func (l library) find(ctx context.Context, p *params) found {
	id := p.documentID
	if id == "" {
		id = p.hash
	}
	if doc := l.trusted.byID[id]; doc != nil {
		if p.Query != "" && p.Query != doc.text {
			return found{fault: badRequest("The query is not the trusted document with this id.")}
		}
		return found{document: doc, tree: doc.ast, trusted: true}
	}
	switch {
	case p.documentID != "" && l.trusted.Len() == 0:
		return notTrusted("This service has no trusted documents.")
	case p.documentID != "":
		return notTrusted("No trusted document has this documentId.")
	case l.only:
		return l.schemaOnly(p)
	case p.hash != "":
		return l.persisted(ctx, p)
	}
	return l.prepare(p.Query, hashOf(p.Query))
}

// hashOf is the SHA-256 of a text. One of usual length is hashed without memory of its own.
func hashOf(text string) documentHash {
	onStack := make([]byte, 0, 2<<10)
	return sha256.Sum256(append(onStack, text...))
}

func (l library) prepare(text string, hash documentHash) (f found) {
	f.document, f.tree, f.errs = l.documents.prepare(text, hash)
	return f
}

// schemaOnly lets no other document through than the one by which gateways ask for the schema.
func (l library) schemaOnly(p *params) found {
	if p.Query == "" && p.hash != "" {
		return found{fault: errNotKept} // the gateway sends the text then
	}
	if hash, ok := readHash(p.hash); p.hash != "" && (!ok || hash != hashOf(p.Query)) {
		return found{fault: errOtherText}
	}
	parsed, errs := l.documents.parse(p.Query)
	if p.Query == "" || errs != nil || !asksForSDL(parsed.tree) {
		return notTrusted("This service runs trusted documents only: ask for one by its id.")
	}
	return l.prepare(p.Query, hashOf(p.Query))
}

// persisted finds a persisted query by its hash, or registers the text that comes with it, once it
// is known to be valid.
func (l library) persisted(ctx context.Context, p *params) found {
	hash, ok := readHash(p.hash)
	if p.Query != "" {
		if !ok || hash != hashOf(p.Query) {
			return found{fault: errOtherText}
		}
		f := l.prepare(p.Query, hash)
		if f.document != nil && l.texts != nil {
			l.texts.Keep(ctx, hash, p.Query)
		}
		return f
	}
	if !ok {
		return found{fault: errNotKept}
	}
	if doc, ok := l.documents.known(hash); ok {
		return found{document: doc, tree: doc.ast}
	}
	if l.texts != nil {
		if text, ok := l.texts.Text(ctx, hash); ok && hashOf(text) == hash {
			return l.prepare(text, hash)
		}
	}
	return found{fault: errNotKept}
}

// readHash reads a SHA-256 in 64 lower-case hexadecimal digits.
func readHash(s string) (hash documentHash, ok bool) {
	if len(s) != hex.EncodedLen(len(hash)) {
		return hash, false
	}
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'F' {
			return hash, false
		}
	}
	_, err := hex.Decode(hash[:], []byte(s))
	return hash, err == nil
}
