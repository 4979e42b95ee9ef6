package graph

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/graph/generated"
)

// Options of the GraphQL endpoint.
type Options struct {
	// SDL is the schema's own text, which _service hands to gateways.
	SDL string
	// Introspection answers __schema and __type, and lets validation errors suggest names.
	Introspection bool
}

// NewHandler makes the GraphQL endpoint. It expects a [Request] in the context and a body that is
// already limited.
func NewHandler(resolver *Resolver, o Options) http.Handler {
	srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: resolver}))
	srv.AddTransport(transport{now: resolver.Now})
	srv.SetErrorPresenter(present)
	srv.SetRecoverFunc(recovered)
	srv.SetParserTokenLimit(maxTokens)
	srv.SetQueryCache(lru.New[*ast.QueryDocument](queryCacheEntries))
	srv.SetDisableSuggestion(!o.Introspection)
	srv.Use(federation{resolver: resolver, sdl: o.SDL})
	if o.Introspection {
		srv.Use(extension.Introspection{})
	}
	return srv
}
