package document

import (
	"fmt"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	gqlparser "github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"authentik-graphql/internal/apierror"
)

// maxSuggesting is how many nodes a document may have for names to be suggested. Each unknown name is
// compared with all names of its type, which takes longer than all else in a large document.
const maxSuggesting = 500

// parser makes documents of texts. Its errors are fit for clients.
type parser struct {
	schema  *ast.Schema
	limits  Limits
	weights weights
	suggest bool // names, in errors
}

func newParser(schema *ast.Schema, limits Limits, suggest bool) parser {
	return parser{schema: schema, limits: limits, weights: newWeights(schema), suggest: suggest}
}

// parsed is a text that was parsed and is within the limits.
type parsed struct {
	text string
	ast  *ast.QueryDocument
	size size
}

// parse parses and measures a text.
func (p parser) parse(text string) (parsed, gqlerror.List) {
	doc, err := gqlparser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, int(p.limits.Tokens))
	if err != nil {
		e, ok := err.(*gqlerror.Error) //nolint:errorlint // the parser returns no other
		switch {
		case !ok:
			e = gqlerror.Wrap(err)
		case e.Message == fmt.Sprintf("exceeded token limit of %d", p.limits.Tokens):
			return parsed{}, apierror.Over("MAX_TOKENS", p.limits.Tokens, "The document has more tokens").List()
		}
		errcode.Set(e, errcode.ParseFailed)
		return parsed{}, gqlerror.List{e}
	}
	if len(doc.Operations) == 0 {
		return parsed{}, gqlerror.List{invalid(gqlerror.Errorf("The document has no operation."))}
	}
	v := newVisitor(int(p.limits.Depth))
	if e := v.measure(doc); e != nil {
		return parsed{}, gqlerror.List{e}
	}
	return parsed{text, doc, v.size}, nil
}

func invalid(e *gqlerror.Error) *gqlerror.Error {
	errcode.Set(e, errcode.ValidationFailed)
	return e
}

// validate makes a document of a parsed text.
func (p parser) validate(in parsed) (*Document, gqlerror.List) {
	if errs := validator.ValidateWithRules(p.schema, in.ast, p.rules(in.size.nodes)); len(errs) > 0 {
		for _, e := range errs {
			invalid(e)
		}
		if len(errs) > MaxErrors {
			more := apierror.Over("MAX_ERRORS", MaxErrors, "The document has more errors")
			errs = append(errs[:MaxErrors:MaxErrors], more.List()...)
		}
		return nil, errs
	}
	doc := &Document{Text: in.text, AST: in.ast, size: in.size, Operations: make(map[*ast.OperationDefinition]*Operation, len(in.ast.Operations))}
	for _, op := range in.ast.Operations {
		doc.Operations[op] = &Operation{
			costs:      p.weights.costs(op, int(p.limits.Complexity)),
			conditions: in.size.conditions,
			plans:      map[uint64]any{},
		}
	}
	return doc, nil
}

// rules are GraphQL's own. The depth of introspection was measured already.
func (p parser) rules(nodes int) *rules.Rules {
	r := rules.NewDefaultRules()
	r.RemoveRule(rules.MaxIntrospectionDepth.Name)
	if p.suggest && nodes <= maxSuggesting {
		return r
	}
	r.ReplaceRule(rules.FieldsOnCorrectTypeRule.Name, rules.FieldsOnCorrectTypeRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.ScalarLeafsRule.Name, rules.ScalarLeafsRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	return r
}
