package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/internal/apierror"
)

// interceptor stands before every field: it refuses fields that the settings turn off, and stops the
// making of a response that is too large or too late, or for which there is no memory. gqlgen makes a
// response whole before it can be looked at, and does not check the context meanwhile.
type interceptor struct {
	introspection      bool
	federation         bool
	maxRepresentations int
	budget             responseBudget
	roots              *roots // of the operation
}

// intercept resolves a field. Once a response is stopped its fields are null, at once and without an error,
// because there may be millions of them.
func (i interceptor) intercept(ctx context.Context, next graphql.Resolver) (any, error) {
	req := FromContext(ctx)
	if ctx.Err() != nil {
		req.stop(tooLate)
	}
	if req.stopped() != notStopped {
		return nil, nil
	}
	field := graphql.GetFieldContext(ctx)
	var value any
	err := i.refuse(field)
	if err == nil {
		if value, err = next(ctx); err == nil {
			value = i.roots.completed(ctx, field, value)
		}
	}
	n := sizeOf(field.Field.Alias, value)
	if err != nil {
		n += errorBytes
	}
	if !i.budget.spend(ctx, req, n) {
		return nil, nil
	}
	return value, err
}

// refuse returns an error for a field of Query that is turned off or asks for too much.
func (i interceptor) refuse(field *graphql.FieldContext) error {
	if field.Object != "Query" {
		return nil
	}
	switch name := field.Field.Name; name {
	case "_service", "_entities":
		if !i.federation {
			return apierror.New(apierror.FederationDisabled, "Federation is turned off here.")
		}
		if list, _ := field.Args["representations"].([]map[string]any); len(list) > i.maxRepresentations {
			return apierror.Over("MAX_REPRESENTATIONS", i.maxRepresentations, "representations holds more entities")
		}
	case "__schema", "__type":
		if !i.introspection {
			return apierror.New(apierror.IntrospectionDisabled, "Introspection is turned off here.")
		}
	}
	return nil
}

// errorBytes is about what an error takes until it is written, with its causes.
const errorBytes = 4 << 10

// sizeOf is about what a field takes in the response, with its name. The fields of objects, and of
// lists of objects, are counted by themselves.
func sizeOf(alias string, value any) int64 {
	const quotes = 4 // with colon and comma
	n := len(alias) + quotes
	switch v := value.(type) {
	case *string:
		if v != nil {
			n += len(*v)
		}
	case string:
		n += len(v)
	case jsontext.Value:
		n += len(v)
	case []string:
		for _, s := range v {
			n += len(s) + quotes
		}
	default:
		n += quotes
	}
	return int64(n)
}
