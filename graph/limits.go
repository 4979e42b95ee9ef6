package graph

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Limits bound what one request may cost. Each is named, in its error, by the setting that holds
// it. The zero value allows nothing; see [DefaultLimits].
type Limits struct {
	Body               int // MAX_BODY: bytes of a request's body
	URL                int // MAX_URL: bytes of a request's target
	Headers            int // MAX_HEADERS: bytes of a request's header lines
	Tokens             int // MAX_TOKENS: lexical tokens of a document
	Depth              int // MAX_DEPTH: fields within fields
	Name               int // MAX_NAME: bytes of a name in a document
	Fields             int // MAX_FIELDS: selections and values of a document, with fragments expanded
	Aliases            int // MAX_ALIASES: aliased fields, with fragments expanded
	RootFields         int // MAX_ROOT_FIELDS: fields at the top of an operation
	Repeats            int // MAX_REPEATS: selections of one response path
	Directives         int // MAX_DIRECTIVES: directives in a document
	Operations         int // MAX_OPERATIONS: operations in a document
	ValueDepth         int // MAX_VALUE_DEPTH: lists and objects within one another, in variables and arguments
	Variables          int // MAX_VARIABLES: bytes of the variables' JSON
	Representations    int // MAX_REPRESENTATIONS: entities that one _entities field asks for
	Complexity         int // MAX_COMPLEXITY: fields of an answer, as far as the document tells
	IntrospectionDepth int // MAX_INTROSPECTION_DEPTH: lists of a type's parts within one another
	Errors             int // MAX_ERRORS: parse and validation errors of an answer
	Answer             int // MAX_ANSWER: bytes of an answer
	UpstreamCalls      int // OPERATION_UPSTREAM_CALLS: codes that one operation may ask for
}

// DefaultLimits are the limits of a service that sets none.
func DefaultLimits() Limits {
	return Limits{
		Body: 64 << 10, URL: 8 << 10, Headers: 16 << 10,
		Tokens: 3000, Name: 128, Depth: 16, Fields: 3000, Aliases: 200, RootFields: 100, Repeats: 100,
		Directives: 100, Operations: 10, ValueDepth: 10, Variables: 32 << 10,
		Representations: 100, Complexity: 30000, IntrospectionDepth: 2, Errors: 10, Answer: 8 << 20,
		UpstreamCalls: 100,
	}
}

// over is the error of a request that exceeds a limit. what says which property of it does, as in
// "The document has more tokens than MAX_TOKENS allows, which is 3000."
func over(setting string, limit int, what string) *Error {
	return &Error{
		Code:    CodeLimitExceeded,
		Message: fmt.Sprintf("%s than %s allows, which is %d.", what, setting, limit),
		Limit:   setting,
	}
}

// listed makes an error one that GraphQL's machinery takes.
func listed(err *Error) gqlerror.List {
	return gqlerror.List{{Err: err, Message: err.Message}}
}
