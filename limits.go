package main

import (
	"strconv"
	"time"

	"authentik-graphql/graph"
)

// LimitSettings are the settings that bound what a request may cost.
type LimitSettings struct {
	MaxBody               byteSize      `env:"MAX_BODY" envDefault:"64KiB" example:"64KiB" help:"Largest request body."`
	MaxURL                byteSize      `env:"MAX_URL" envDefault:"8KiB" example:"8KiB" help:"Longest URL of a GET."`
	MaxHeaders            byteSize      `env:"MAX_HEADERS" envDefault:"16KiB" example:"16KiB" help:"Most bytes of a request's headers."`
	MaxConnections        count         `env:"MAX_CONNECTIONS" envDefault:"10000" example:"10000" help:"Most open connections."`
	OperationTimeout      time.Duration `env:"OPERATION_TIMEOUT" envDefault:"15s" example:"15s" help:"Longest time of one operation. Keep it above UPSTREAM_TIMEOUT, which it otherwise cuts short."`
	OperationCalls        count         `env:"OPERATION_UPSTREAM_CALLS" envDefault:"100" example:"100" help:"Most codes, tokens and lists that one operation may ask for, cached or not; the same counts once. As many calls may one list take."`
	MaxAnswer             byteSize      `env:"MAX_ANSWER" envDefault:"8MiB" example:"8MiB" help:"Largest answer."`
	MaxComplexity         count         `env:"MAX_COMPLEXITY" envDefault:"30000" example:"30000" help:"Most fields that an answer may have, estimated from the document."`
	MaxTokens             count         `env:"MAX_TOKENS" envDefault:"3000" example:"3000" help:"Most tokens of a document."`
	MaxName               count         `env:"MAX_NAME" envDefault:"128" example:"128" help:"Longest name in a document, in bytes: aliases, variables, fragments and all others."`
	MaxDepth              count         `env:"MAX_DEPTH" envDefault:"16" example:"16" help:"Deepest nesting of fields in a document."`
	MaxFields             count         `env:"MAX_FIELDS" envDefault:"3000" example:"3000" help:"Most fields and values of a document, with its fragments expanded."`
	MaxAliases            count         `env:"MAX_ALIASES" envDefault:"200" example:"200" help:"Most aliases of a document, with its fragments expanded."`
	MaxRootFields         count         `env:"MAX_ROOT_FIELDS" envDefault:"100" example:"100" help:"Most fields at the top of an operation."`
	MaxRepeats            count         `env:"MAX_REPEATS" envDefault:"100" example:"100" help:"How often a document may select the same field of the answer."`
	MaxDirectives         count         `env:"MAX_DIRECTIVES" envDefault:"100" example:"100" help:"Most directives in a document."`
	MaxOperations         count         `env:"MAX_OPERATIONS" envDefault:"10" example:"10" help:"Most operations in a document."`
	MaxVariables          byteSize      `env:"MAX_VARIABLES" envDefault:"32KiB" example:"32KiB" help:"Most bytes of the variables' JSON."`
	MaxValueDepth         count         `env:"MAX_VALUE_DEPTH" envDefault:"10" example:"10" help:"Deepest nesting of lists and objects in variables and arguments."`
	MaxRepresentations    count         `env:"MAX_REPRESENTATIONS" envDefault:"100" example:"100" help:"Most entities that one _entities field may ask for."`
	MaxIntrospectionDepth count         `env:"MAX_INTROSPECTION_DEPTH" envDefault:"2" example:"2" help:"How often fields, interfaces and the like may nest in an introspection query."`
	MaxErrors             count         `env:"MAX_ERRORS" envDefault:"10" example:"10" help:"Most errors that are told of a document that is not valid."`
}

func (s LimitSettings) limits() graph.Limits {
	return graph.Limits{
		Body:               int(s.MaxBody),
		URL:                int(s.MaxURL),
		Headers:            int(s.MaxHeaders),
		Tokens:             int(s.MaxTokens),
		Name:               int(s.MaxName),
		Depth:              int(s.MaxDepth),
		Fields:             int(s.MaxFields),
		Aliases:            int(s.MaxAliases),
		RootFields:         int(s.MaxRootFields),
		Repeats:            int(s.MaxRepeats),
		Directives:         int(s.MaxDirectives),
		Operations:         int(s.MaxOperations),
		ValueDepth:         int(s.MaxValueDepth),
		Variables:          int(s.MaxVariables),
		Representations:    int(s.MaxRepresentations),
		Complexity:         int(s.MaxComplexity),
		IntrospectionDepth: int(s.MaxIntrospectionDepth),
		Errors:             int(s.MaxErrors),
		Answer:             int(s.MaxAnswer),
		UpstreamCalls:      int(s.OperationCalls),
	}
}

// count is a number of things that may be there.
type count int

func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 1_000_000 {
		return valueError("must be from 1 to 1000000")
	}
	*c = count(n)
	return nil
}
