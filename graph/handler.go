package graph

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"

	"authentik-graphql/graph/generated"
	"authentik-graphql/internal/telemetry/spans"
)

// Options of the GraphQL endpoint.
type Options struct {
	// SDL is the schema's own text, which _service hands to gateways.
	SDL string
	// Introspection answers __schema and __type, and lets validation errors suggest names.
	Introspection bool
	// Federation answers _service and _entities, which only a gateway asks for.
	Federation bool
	// Limits bound every request.
	Limits Limits
	// Trusted are documents that can be asked for by their id.
	Trusted Trusted
	// TrustedOnly runs nothing else, but for _service.
	TrustedOnly bool
	// Texts shares persisted queries between processes; nil keeps them in this one.
	Texts TextStore
	// DocumentMemory is how many bytes of parsed documents are kept.
	DocumentMemory uint64
	// Spans makes the spans of operations; nil makes none.
	Spans *spans.Tracer
	// noPlans leaves everything to gqlgen, to compare with what is answered from plans.
	noPlans bool
}

// Handler is the GraphQL endpoint.
type Handler struct {
	http.Handler
	documents *documents
}

// DocumentsSize is how many documents are kept, and about how many bytes they take.
func (h *Handler) DocumentsSize() (entries int, bytes uint64) {
	return h.documents.kept.EstimatedSize(), h.documents.kept.WeightedSize()
}

// NewHandler makes the GraphQL endpoint. It expects a [Request] in the context and a body that is
// already limited.
func NewHandler(resolver *Resolver, o Options) (*Handler, error) {
	r := *resolver
	r.upstreamCalls, r.sdl = int(o.Limits.UpstreamCalls), o.SDL
	r.budget = budget{answers: newRoom(), answerBytes: int64(o.Limits.Answer)}
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: &r})
	docs, err := newDocuments(schema.Schema(), o.Limits, o.Introspection, o.DocumentMemory)
	if err != nil {
		return nil, err
	}
	var plans planner
	if !o.noPlans {
		plans = newPlanner(schema.Schema(), r.Query(), r.budget)
	}
	exec := executor.New(schema)
	exec.SetErrorPresenter(present)
	exec.SetRecoverFunc(recovered)
	exec.SetQueryCache(handed{})
	exec.Use(interceptor{
		federation:         o.Federation,
		maxRepresentations: int(o.Limits.Representations),
		budget:             r.budget,
	})
	if o.Introspection {
		exec.Use(extension.Introspection{})
	}
	return &Handler{transport{
		exec:    exec,
		now:     r.Now,
		limits:  o.Limits,
		bodies:  newRoom(),
		library: library{documents: docs, trusted: o.Trusted, only: o.TrustedOnly, texts: o.Texts},
		planner: plans,
		spans:   o.Spans,
	}, docs}, nil
}
