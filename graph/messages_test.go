package graph_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"authentik-graphql/graph"
	"authentik-graphql/upstream"
)

// wantMessage checks the one error of a response. It has no path, because the request is not executed.
func wantMessage(t *testing.T, body, code, message string) {
	t.Helper()
	checkRequestError(t, body, code)
	var got struct {
		Errors []struct {
			Message string
			Path    []any
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Errors[0].Message != message || got.Errors[0].Path != nil {
		t.Errorf("got %s, want %s", body, message)
	}
}

func TestErrorsOfVariables(t *testing.T) {
	base := serve(t, source(anyCode), graph.Options{Federation: true})
	const (
		code     = `query($id:ID!){authorizationCode(id:$id){id}}`
		entities = `query($r:[_Any!]!){_entities(representations:$r){__typename}}`
		skip     = `query($if:Boolean!){__typename @skip(if:$if)}`
	)
	tests := []struct{ name, query, variables, want string }{
		{"missing", code, `{}`, `Variable "$id" must be defined.`},
		{"null", code, `{"id":null}`, `Variable "$id" cannot be null.`},
		{"a list", code, `{"id":["17"]}`, `Variable "$id" cannot be a list: its type is ID.`},
		{"an object", code, `{"id":{"id":17}}`, `Variable "$id" cannot be an object: its type is ID.`},
		{"a boolean", code, `{"id":true}`, `Variable "$id" cannot be true or false: its type is ID.`},
		{"a number", skip, `{"if":1}`, `Variable "$if" cannot be this value: its type is Boolean.`},
		{"a text", skip, `{"if":"true"}`, `Variable "$if" cannot be this value: its type is Boolean.`},
		{"null in a list", entities, `{"r":[{"__typename":"AuthorizationCode","id":1},null]}`, `Variable "$r" at 1 cannot be null.`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, http.MethodPost, base, `{"query":"`+tt.query+`","variables":`+tt.variables+`}`, jsonHeader)
			wantMessage(t, got.body, "GRAPHQL_VALIDATION_FAILED", tt.want)
		})
	}
}

func TestErrorsOfMissingDocuments(t *testing.T) {
	base := serve(t, source(anyCode), graph.Options{})
	tests := []struct{ name, body, code, want string }{
		{"unknown operation", `{"query":"query A { __typename }","operationName":"B"}`, "GRAPHQL_VALIDATION_FAILED", "The document has no operation of that name."},
		{"unknown of several", `{"query":"query A { __typename } query B { __typename }","operationName":"C"}`, "GRAPHQL_VALIDATION_FAILED", "The document has no operation of that name."},
		{"none named", `{"query":"query A { __typename } query B { __typename }"}`, "GRAPHQL_VALIDATION_FAILED", "The document has several operations: name one of them in operationName."},
		{"no trusted documents", `{"documentId":"code"}`, "DOCUMENT_NOT_TRUSTED", "This service has no trusted documents."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantMessage(t, send(t, http.MethodPost, base, tt.body, jsonHeader).body, tt.code, tt.want)
		})
	}
}

// TestRejectedFields checks that errors repeat only the names of the fields that authentik rejects.
func TestRejectedFields(t *testing.T) {
	for want, fields := range map[string][]string{
		"authentik rejects the request.":            nil,
		"authentik rejects the field: user.":        {"user"},
		"authentik rejects the fields: user, code.": {"user", "code"},
	} {
		base := serve(t, source(func(context.Context, upstream.Credential, upstream.PK) (graph.GrantRead, error) {
			return graph.GrantRead{}, &upstream.Error{Kind: upstream.BadInput, Status: 400, Fields: fields}
		}), graph.Options{})
		got := send(t, http.MethodPost, base, oneCode, jsonHeader)
		var answer struct{ Errors []struct{ Message string } }
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Errors) != 1 || answer.Errors[0].Message != want {
			t.Errorf("got %s, want %s", got.body, want)
		}
	}
}
