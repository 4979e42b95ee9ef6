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
	// Introspection answers __schema and __type.
	Introspection bool
	// Federation answers _service and _entities, which only a gateway asks for.
	Federation bool
	// Limits bound every request.
	Limits document.Limits
	// Documents finds the documents of requests.
	Documents *document.Library
	// Spans makes the spans of operations; nil makes none.
	Spans *spans.Tracer
}

// NewHandler makes the GraphQL endpoint. It expects a [Request] in the context and a body that is
// already limited.
func NewHandler(resolver *Resolver, o Options) http.Handler {
	r := *resolver
	r.upstreamCalls, r.sdl = int(o.Limits.UpstreamCalls), o.SDL
	r.budget = responseBudget{memory: newMemoryBudget(), maxBytes: int64(o.Limits.Answer)}
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: &r})
	return transport{
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
		documents: o.Documents,
		planner:   newPlanner(schema.Schema(), &r),
		spans:     o.Spans,
	}
}
