package graph

const (
	// maxTokens bounds a document. Validation compares fields pairwise: at 3,000 tokens that is a
	// tenth of a second of CPU at worst. The introspection query of GraphiQL has some 400.
	maxTokens = 3000
	// queryCacheEntries bounds the documents kept parsed. One has at most maxTokens tokens.
	queryCacheEntries = 256
)
