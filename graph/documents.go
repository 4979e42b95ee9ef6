package graph

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/maypok86/otter/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	doclimits "authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
)

// documentHash is the SHA-256 of a document's text, by which Apollo's protocol asks for it.
type documentHash [sha256.Size]byte

// document is a text that was parsed and found valid. Nobody changes it.
type document struct {
	text  string
	ast   *ast.QueryDocument
	nodes int
	// expanded is how many selections and values there are with fragments expanded.
	expanded int
	costs    map[*ast.OperationDefinition][]rootCost
	plans    map[*ast.OperationDefinition]*plans
	// conditions are the variables that stand in @skip and @include.
	conditions []string
}

// What a document takes beside its text, in bytes: as much as was measured for a node of any kind,
// and something for the rest.
const (
	nodeWeight     = 400
	commentWeight  = 128 // the tree keeps them, for nobody
	documentWeight = 2048
)

func (d *document) weight() uint32 {
	plans := min(maxPlans, 1<<min(len(d.conditions), maxPlans))
	return uint32(documentWeight + len(d.text) + d.nodes*nodeWeight + plans*d.expanded*planWeight +
		strings.Count(d.text, "#")*commentWeight)
}

// suggestUpTo is how many nodes a document may have for names to be suggested. Each unknown name is
// compared with all names of its type, which takes longer than all else in a large document.
const suggestUpTo = 500

// parsed is a text that was parsed and is within the limits.
type parsed struct {
	text       string
	tree       *ast.QueryDocument
	nodes      int
	expanded   int
	conditions []string
}

// documents parses and validates documents within the limits and keeps those that were used of
// late.
type documents struct {
	schema  *ast.Schema
	limits  Limits
	weights weights
	suggest bool
	kept    *otter.Cache[documentHash, *document]
}

// newDocuments keeps about maxBytes of documents.
func newDocuments(schema *ast.Schema, limits Limits, suggest bool, maxBytes uint64) (*documents, error) {
	d := &documents{schema: schema, limits: limits, weights: newWeights(schema), suggest: suggest}
	var err error
	d.kept, err = otter.New(&otter.Options[documentHash, *document]{
		MaximumWeight: maxBytes,
		Weigher:       func(_ documentHash, d *document) uint32 { return d.weight() },
	})
	if err != nil {
		return nil, fmt.Errorf("graph: make the cache of documents: %w", err)
	}
	return d, nil
}

// known returns the document with a hash, if it is kept.
func (d *documents) known(hash documentHash) (*document, bool) { return d.kept.GetIfPresent(hash) }

// prepare returns the document of a text. The errors are those that the client is to see; with
// them comes the tree, if the text could at least be parsed.
func (d *documents) prepare(text string, hash documentHash) (*document, *ast.QueryDocument, gqlerror.List) {
	if doc, ok := d.kept.GetIfPresent(hash); ok {
		return doc, doc.ast, nil
	}
	p, errs := d.parse(text)
	if errs != nil {
		return nil, nil, errs
	}
	doc, errs := d.validate(p)
	if errs != nil {
		return nil, p.tree, errs
	}
	d.kept.Set(hash, doc)
	return doc, p.tree, nil
}

// parse reads a text and measures it.
func (d *documents) parse(text string) (parsed, gqlerror.List) {
	tree, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, int(d.limits.Tokens))
	if err != nil {
		e, ok := err.(*gqlerror.Error) //nolint:errorlint // the parser returns no other
		switch {
		case !ok:
			e = gqlerror.Wrap(err)
		case e.Message == fmt.Sprintf("exceeded token limit of %d", d.limits.Tokens):
			return parsed{}, apierror.Over("MAX_TOKENS", d.limits.Tokens, "The document has more tokens").List()
		}
		errcode.Set(e, errcode.ParseFailed)
		return parsed{}, gqlerror.List{e}
	}
	if len(tree.Operations) == 0 {
		e := gqlerror.Errorf("The document has no operation.")
		errcode.Set(e, errcode.ValidationFailed)
		return parsed{}, gqlerror.List{e}
	}
	g := newGuard(int(d.limits.Depth))
	if e := g.inspect(tree); e != nil {
		return parsed{}, gqlerror.List{e}
	}
	return parsed{text, tree, g.nodes, g.expanded, g.conditions}, nil
}

// validate makes a document of a parsed text.
func (d *documents) validate(p parsed) (*document, gqlerror.List) {
	if errs := validator.ValidateWithRules(d.schema, p.tree, d.rules(p.nodes)); len(errs) > 0 {
		for _, e := range errs {
			errcode.Set(e, errcode.ValidationFailed)
		}
		if len(errs) > doclimits.MaxErrors {
			more := apierror.Over("MAX_ERRORS", doclimits.MaxErrors, "The document has more errors")
			errs = append(errs[:doclimits.MaxErrors:doclimits.MaxErrors], more.List()...)
		}
		return nil, errs
	}
	doc := &document{
		text:       p.text,
		ast:        p.tree,
		nodes:      p.nodes,
		expanded:   p.expanded,
		plans:      make(map[*ast.OperationDefinition]*plans, len(p.tree.Operations)),
		costs:      make(map[*ast.OperationDefinition][]rootCost, len(p.tree.Operations)),
		conditions: p.conditions,
	}
	for _, op := range p.tree.Operations {
		doc.plans[op] = &plans{kept: map[uint64]*plan{}}
		doc.costs[op] = d.weights.costs(op, int(d.limits.Complexity))
	}
	return doc, nil
}

// rules are GraphQL's own. The depth of introspection is the guard's business, and names are
// suggested only where introspection may be asked for them.
func (d *documents) rules(nodes int) *rules.Rules {
	r := rules.NewDefaultRules()
	r.RemoveRule(rules.MaxIntrospectionDepth.Name)
	if d.suggest && nodes <= suggestUpTo {
		return r
	}
	r.ReplaceRule(rules.FieldsOnCorrectTypeRule.Name, rules.FieldsOnCorrectTypeRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.ScalarLeafsRule.Name, rules.ScalarLeafsRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	r.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	return r
}

// handed is the cache of documents that gqlgen asks: it gives the document that the transport has
// put into the context, so that nothing is parsed or validated by gqlgen itself.
type handed struct{}

var _ graphql.Cache[*ast.QueryDocument] = handed{}

type documentKey struct{}

// Get implements [graphql.Cache].
func (handed) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	doc, ok := ctx.Value(documentKey{}).(*document)
	if !ok {
		return nil, false
	}
	return doc.ast, true
}

// Add implements [graphql.Cache].
func (handed) Add(context.Context, string, *ast.QueryDocument) {}
