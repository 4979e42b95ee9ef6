package document

import "authentik-graphql/internal/bytesize"

// Limits bound what one request may cost, as far as an operator sets it. The tags are the settings'
// names, defaults and meanings. A request over a limit gets an error that names the setting.
type Limits struct {
	Body            bytesize.Size `env:"MAX_BODY" envDefault:"64KiB" range:"1B to 1GiB" example:"64KiB" help:"Maximum size of a request body."`
	Answer          bytesize.Size `env:"MAX_ANSWER" envDefault:"8MiB" range:"1B to 1GiB" example:"8MiB" help:"Maximum size of a response."`
	UpstreamCalls   int           `env:"OPERATION_UPSTREAM_CALLS" envDefault:"100" range:"1 to 1000000" example:"100" help:"Maximum number of different grants and lists that one operation reads, cached or not, and of different OAuth2 providers beside them. One list may take as many requests to authentik."`
	Complexity      int           `env:"MAX_COMPLEXITY" envDefault:"30000" range:"1 to 1000000" example:"30000" help:"Maximum number of fields in a response, estimated from the document."`
	Tokens          int           `env:"MAX_TOKENS" envDefault:"3000" range:"1 to 1000000" example:"3000" help:"Maximum number of lexical tokens in a document."`
	Depth           int           `env:"MAX_DEPTH" envDefault:"16" range:"1 to 1000000" example:"16" help:"Maximum depth of nested fields in a document."`
	Representations int           `env:"MAX_REPRESENTATIONS" envDefault:"100" range:"1 to 1000000" example:"100" help:"Maximum number of entities that one _entities field requests."`
}

// The limits that are no setting. Each is far above what clients send and low enough that a request
// within them takes milliseconds. Errors name them like settings: MAX_NAME, and so on.
const (
	// MaxURL bounds the bytes of a request's target.
	MaxURL = 8 << 10
	// MaxHeaders bounds the bytes of a request's header lines.
	MaxHeaders = 16 << 10
	// MaxName is the longest name in a document, in bytes: aliases, variables, fragments and others.
	// The answer repeats a name for each element of a list.
	MaxName = 128
	// MaxFields bounds the selections and values of a document, with its fragments expanded.
	MaxFields = 3000
	// MaxAliases bounds the aliased fields of a document, with its fragments expanded.
	MaxAliases = 200
	// MaxRootFields bounds the fields at the top of an operation.
	MaxRootFields = 100
	// MaxRepeats bounds the selections of one response path, which validation compares in pairs.
	MaxRepeats = 100
	// MaxDirectives bounds the directives of a document.
	MaxDirectives = 100
	// MaxOperations bounds the operations of a document.
	MaxOperations = 10
	// MaxValueDepth is the deepest nesting of lists and objects in variables and arguments.
	MaxValueDepth = 10
	// MaxVariables bounds the bytes of the variables' JSON.
	MaxVariables = 32 << 10
	// MaxIntrospectionDepth is how often fields, interfaces and the like may nest in a query of the
	// schema.
	MaxIntrospectionDepth = 2
	// MaxErrors bounds the errors that are reported for an invalid document.
	MaxErrors = 10
)
