package graph

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/internal/apierror"
)

// encode writes a response. Data is absent, not null, where nothing was executed. It is copied: to
// encode it with the rest would scan it a second time.
func encode(resp *graphql.Response) []byte {
	b := make([]byte, 0, len(resp.Data)+512)
	b = append(b, '{')
	if len(resp.Errors) > 0 {
		b = appendMember(b, "errors", marshal(resp.Errors))
	}
	if resp.Data != nil {
		b = appendMember(b, "data", resp.Data)
	}
	if len(resp.Extensions) > 0 {
		b = appendMember(b, "extensions", marshal(resp.Extensions))
	}
	return append(b, '}', '\n')
}

func appendMember(b []byte, key string, value []byte) []byte {
	if len(b) > 1 {
		b = append(b, ',')
	}
	b = append(append(append(b, '"'), key...), '"', ':')
	return append(b, value...)
}

func marshal(v any) []byte {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil { // there are only strings and numbers in it
		return []byte("null")
	}
	return b
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType+"; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteError refuses a request, with the status of the error, before it is executed as GraphQL. Its
// message must not repeat what was sent.
func WriteError(w http.ResponseWriter, r *http.Request, err *apierror.Error) {
	contentType, ok := negotiate(r.Header["Accept"])
	if !ok {
		contentType = typeJSON
	}
	w.Header()["Cache-Control"] = []string{"no-store"}
	if err.RetryAfter > 0 {
		w.Header()["Retry-After"] = []string{strconv.Itoa(wholeSeconds(err.RetryAfter))}
	}
	write(w, err.Status(), contentType, encode(&graphql.Response{Errors: gqlerror.List{present(r.Context(), err)}}))
}

// unknownOperation is the error for an operationName that the document does not have, or for none
// where there is a choice. gqlgen's own repeats the name.
func unknownOperation(name string) gqlerror.List {
	e := gqlerror.Errorf("The document has no operation of that name.")
	if name == "" {
		e.Message = "The document has several operations: name one of them in operationName."
	}
	errcode.Set(e, errcode.ValidationFailed)
	return gqlerror.List{e}
}

// invalidVariable is the error for a value that a variable cannot have. gqlparser names the variable in a
// path, variable.name.0.field, which is no path of the response: it becomes part of the message.
func invalidVariable(err error) gqlerror.List {
	e := gqlerror.WrapIfUnwrapped(err)
	errcode.Set(e, errcode.ValidationFailed)
	if len(e.Path) < 2 || e.Path[0] != ast.PathName("variable") {
		return gqlerror.List{e}
	}
	var at []string
	for _, element := range e.Path[2:] {
		at = append(at, fmt.Sprint(element))
	}
	variable := fmt.Sprintf(`Variable "$%s"`, e.Path[1])
	if at != nil {
		variable += " at " + strings.Join(at, ".")
	}
	what := e.Message
	if m := wrongKind.FindStringSubmatch(what); m != nil {
		kind, ok := kinds[m[1]]
		if !ok {
			kind = "this value"
		}
		what = "cannot be " + kind + ": its type is " + m[2]
	}
	e.Message, e.Path = variable+" "+what+".", nil
	return gqlerror.List{e}
}

// wrongKind is gqlparser's message for a value that no variable of a type can have. kinds translates
// Go's words in it. A string in the message may be a number.
var (
	wrongKind = regexp.MustCompile(`^cannot use (?:value )?(\S+) as (\w+)`)
	kinds     = map[string]string{"slice": "a list", "map": "an object", "bool": "true or false"}
)
