package graph

const (
	// maxTokens bounds a document. Validation compares fields pairwise: one leaf
	// repeated 3,000 times was measured at 0.65 s of CPU, and it grows with the square. The introspection query of GraphiQL has some 400.
	maxTokens = 3000
	// queryCacheEntries bounds the documents kept parsed. One has at most maxTokens tokens.
	queryCacheEntries = 256
)
