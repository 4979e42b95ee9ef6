package graph

import (
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/graph/document"
	"authentik-graphql/graph/generated"
	"authentik-graphql/internal/telemetry/spans"
)

// Schema returns the schema of the service, with what federation adds to it.
func Schema() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }

// Options of the GraphQL endpoint.
type Options struct {
	// SDL is the text of schema.graphqls, which _service gives to gateways.
	SDL string
	// Introspection answers __schema and __type, and lets validation errors suggest names.
	Introspection bool
	// Federation answers _service and _entities, which only a gateway asks for.
	Federation bool
	// Limits bound every request.
	Limits document.Limits
	// Trusted are documents that can be asked for by their id.
	Trusted document.Trusted
	// TrustedOnly executes nothing else, but for _service.
	TrustedOnly bool
	// Texts shares persisted queries between processes; nil keeps them in this one.
	Texts document.TextStore
	// DocumentMemory is how many bytes of parsed documents are kept.
	DocumentMemory uint64
	// Spans makes the spans of operations; nil makes none.
	Spans *spans.Tracer
	// noPlans leaves everything to gqlgen, for tests that compare the two.
	noPlans bool
}

// Handler is the GraphQL endpoint.
type Handler struct {
	http.Handler
	documents *document.Library
}

// DocumentsSize returns how many documents are kept, and about how many bytes they take.
func (h *Handler) DocumentsSize() (entries int, bytes uint64) { return h.documents.Size() }

// NewHandler makes the GraphQL endpoint. It expects a [Request] in the context and a body that is
// already limited.
func NewHandler(resolver *Resolver, o Options) (*Handler, error) {
	r := *resolver
	r.upstreamCalls, r.sdl = int(o.Limits.UpstreamCalls), o.SDL
	r.budget = responseBudget{memory: newMemoryBudget(), maxBytes: int64(o.Limits.Answer)}
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: &r})
	documents, err := document.NewLibrary(document.Options{
		Schema:      schema.Schema(),
		Limits:      o.Limits,
		Suggest:     o.Introspection,
		Trusted:     o.Trusted,
		TrustedOnly: o.TrustedOnly,
		Texts:       o.Texts,
		MaxBytes:    o.DocumentMemory,
	})
	if err != nil {
		return nil, err
	}
	var plans planner
	if !o.noPlans {
		plans = newPlanner(schema.Schema(), r.Query(), r.budget)
	}
	return &Handler{transport{
		schema: schema,
		interceptor: interceptor{
			introspection:      o.Introspection,
			federation:         o.Federation,
			maxRepresentations: int(o.Limits.Representations),
			budget:             r.budget,
		},
		now:       r.Now,
		limits:    o.Limits,
		bodies:    newMemoryBudget(),
		documents: documents,
		planner:   plans,
		spans:     o.Spans,
	}, documents}, nil
}
