package graph

import (
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	doclimits "authentik-graphql/graph/document"
	"authentik-graphql/internal/apierror"
)

// guard measures a parsed document before it is validated, because validation itself can be made
// to work for seconds: it compares fields of the same name in pairs.
//
// First each node of the document is looked at once, and the expanded size of each definition is
// summed up from the sizes of the fragments in it: its selections, values and directives. gqlparser
// goes through every definition that way, fragments as well as operations, so that all of them
// together are within doclimits.MaxFields before one is. The operations are then walked as if their
// fragments were written out. The steps are therefore at most the document's nodes and twice
// doclimits.MaxFields.
type guard struct {
	maxDepth  int
	fragments map[string]*ast.FragmentDefinition
	// sizes are the expanded sizes of the fragments that were looked at; -1 while one is.
	sizes      map[*ast.FragmentDefinition]int
	spread     map[*ast.FragmentDefinition]bool
	directives int
	aliases    int
	conditions []string // variables in @skip and @include
	nodes      int      // of the document, once it was looked at
	expanded   int      // the same with fragments expanded
	steps      int
}

func newGuard(maxDepth int) *guard {
	return &guard{
		maxDepth:  maxDepth,
		fragments: map[string]*ast.FragmentDefinition{},
		sizes:     map[*ast.FragmentDefinition]int{},
		spread:    map[*ast.FragmentDefinition]bool{},
	}
}

// inspect returns what is wrong with a document, nil if it may be validated.
func (g *guard) inspect(doc *ast.QueryDocument) *gqlerror.Error {
	if len(doc.Operations) > doclimits.MaxOperations {
		return g.over("MAX_OPERATIONS", doclimits.MaxOperations, "The document has more operations")
	}
	for _, f := range doc.Fragments {
		if g.fragments[f.Name] == nil { // a spread means the first; a second one is not valid
			g.fragments[f.Name] = f
		}
	}
	roots, err := g.measure(doc)
	if err != nil {
		return err
	}
	g.nodes = g.steps
	if g.directives > doclimits.MaxDirectives {
		return g.over("MAX_DIRECTIVES", doclimits.MaxDirectives, "The document has more directives")
	}
	for _, root := range roots {
		w := &walk{guard: g}
		if err := w.set(root.set, &place{}, 1, 0); err != nil {
			return err
		}
		if root.operation && w.rootFields > doclimits.MaxRootFields {
			return g.over("MAX_ROOT_FIELDS", doclimits.MaxRootFields, "An operation has more fields at its top")
		}
	}
	return nil
}

// root is where expanding a document begins.
type root struct {
	set       ast.SelectionSet
	operation bool
}

// measure looks at each node once. It returns the operations, and the fragments that nothing
// spreads: they are not valid, but validation looks at them.
func (g *guard) measure(doc *ast.QueryDocument) ([]root, *gqlerror.Error) {
	roots := make([]root, 0, len(doc.Operations))
	total := 0
	for _, op := range doc.Operations {
		for _, v := range op.VariableDefinitions {
			if err := g.variable(v); err != nil {
				return nil, err
			}
		}
		n, err := g.sizeOf(op.SelectionSet, op.Directives)
		if err == nil {
			err = g.name(op.Name)
		}
		if err != nil {
			return nil, err
		}
		total = min(total+n, doclimits.MaxFields+1)
		roots = append(roots, root{op.SelectionSet, true})
	}
	for _, f := range doc.Fragments {
		n, err := g.fragment(f)
		if err != nil {
			return nil, err
		}
		total = min(total+n, doclimits.MaxFields+1)
	}
	if total > doclimits.MaxFields {
		return nil, g.tooManyFields()
	}
	g.expanded = total
	for _, f := range doc.Fragments {
		if !g.spread[f] {
			roots = append(roots, root{f.SelectionSet, false})
		}
	}
	return roots, nil
}

func (g *guard) tooManyFields() *gqlerror.Error {
	return g.over("MAX_FIELDS", doclimits.MaxFields, "The document has more fields and values, with its fragments expanded,")
}

// sizeOf counts what stands in a selection set and in the directives before it, with fragments
// expanded.
func (g *guard) sizeOf(set ast.SelectionSet, directives ast.DirectiveList) (int, *gqlerror.Error) {
	total, err := g.directive(directives)
	if err != nil {
		return 0, err
	}
	for _, selection := range set {
		g.steps++
		n, err := g.selection(selection)
		if err != nil {
			return 0, err
		}
		if total += 1 + n; total > doclimits.MaxFields { // before it can overflow
			return 0, g.tooManyFields()
		}
	}
	return total, nil
}

// selection counts what is in a selection.
func (g *guard) selection(selection ast.Selection) (int, *gqlerror.Error) {
	switch s := selection.(type) {
	case *ast.Field:
		if err := g.name(s.Alias, s.Name); err != nil {
			return 0, err
		}
		values, err := g.arguments(s.Arguments)
		if err != nil {
			return 0, err
		}
		below, err := g.sizeOf(s.SelectionSet, s.Directives)
		return values + below, err
	case *ast.InlineFragment:
		if err := g.name(s.TypeCondition); err != nil {
			return 0, err
		}
		return g.sizeOf(s.SelectionSet, s.Directives)
	case *ast.FragmentSpread:
		if err := g.name(s.Name); err != nil {
			return 0, err
		}
		own, err := g.directive(s.Directives)
		f := g.fragments[s.Name]
		if err != nil || f == nil {
			return own, err
		}
		g.spread[f] = true
		n, err := g.fragment(f)
		return own + n, err
	}
	return 0, nil
}

// name refuses names that are longer than any that a person gives. A name is written once and may
// be repeated in the answer for each element of a list, and compared with every name of the schema.
func (g *guard) name(names ...string) *gqlerror.Error {
	for _, name := range names {
		if len(name) > doclimits.MaxName {
			return g.over("MAX_NAME", doclimits.MaxName, "The document has a name with more bytes")
		}
	}
	return nil
}

// fragment returns a fragment's expanded size. Fragments that spread one another in a circle have
// none.
func (g *guard) fragment(f *ast.FragmentDefinition) (int, *gqlerror.Error) {
	if n, known := g.sizes[f]; n < 0 {
		err := gqlerror.ErrorPosf(f.Position, "Cannot spread fragment %q within itself.", f.Name)
		errcode.Set(err, errcode.ValidationFailed)
		return 0, err
	} else if known {
		return n, nil
	}
	g.sizes[f] = -1
	err := g.name(f.Name, f.TypeCondition)
	for _, v := range f.VariableDefinition {
		if err == nil {
			err = g.variable(v)
		}
	}
	n := 0
	if err == nil {
		n, err = g.sizeOf(f.SelectionSet, f.Directives)
	}
	g.sizes[f] = n
	return n, err
}

func (g *guard) variable(v *ast.VariableDefinition) *gqlerror.Error {
	depth := 0
	for t := v.Type; t != nil; t = t.Elem {
		g.steps++
		if depth++; depth > doclimits.MaxValueDepth+1 { // the named type itself is no level
			return g.tooDeepValue()
		}
		if err := g.name(v.Variable, t.NamedType); err != nil {
			return err
		}
	}
	if v.DefaultValue != nil {
		if _, err := g.value(v.DefaultValue, 0); err != nil {
			return err
		}
	}
	_, err := g.directive(v.Directives)
	return err
}

// directive counts directives and their values.
func (g *guard) directive(list ast.DirectiveList) (int, *gqlerror.Error) {
	g.directives += len(list)
	total := 0
	for _, d := range list {
		g.steps++
		if err := g.name(d.Name); err != nil {
			return 0, err
		}
		n, err := g.arguments(d.Arguments)
		if err != nil {
			return 0, err
		}
		if condition := d.Arguments.ForName("if"); condition != nil && condition.Value.Kind == ast.Variable {
			g.conditions = append(g.conditions, condition.Value.Raw)
		}
		total += 1 + n
	}
	return total, nil
}

// arguments counts the values of arguments.
func (g *guard) arguments(list ast.ArgumentList) (int, *gqlerror.Error) {
	total := 0
	for _, a := range list {
		n, err := g.value(a.Value, 0)
		if err == nil {
			err = g.name(a.Name)
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// value counts a value and those in it.
func (g *guard) value(v *ast.Value, depth int) (int, *gqlerror.Error) {
	g.steps++
	switch v.Kind {
	case ast.ListValue, ast.ObjectValue:
		if depth++; depth > doclimits.MaxValueDepth {
			return 0, g.tooDeepValue()
		}
	case ast.IntValue, ast.FloatValue:
		if _, err := v.Value(nil); err != nil { // gqlgen panics where it meets such a number
			return 0, apierror.New(apierror.BadUserInput, "A number in the document is out of range.").List()[0]
		}
	case ast.EnumValue, ast.Variable:
		if err := g.name(v.Raw); err != nil {
			return 0, err
		}
	}
	total := 1
	for _, child := range v.Children {
		n, err := g.value(child.Value, depth)
		if err == nil {
			err = g.name(child.Name)
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (g *guard) tooDeepValue() *gqlerror.Error {
	return g.over("MAX_VALUE_DEPTH", doclimits.MaxValueDepth, "The document nests lists and objects deeper")
}

func (g *guard) over(setting string, limit int, what string) *gqlerror.Error {
	return apierror.Over(setting, limit, what).List()[0]
}

// place is a response path: what all the selections have in common that end up in one field of
// the answer, or in fields of objects at the same place.
type place struct {
	selections int
	below      map[string]*place
}

func (p *place) at(key string) *place {
	if p.below == nil {
		p.below = map[string]*place{}
	}
	next := p.below[key]
	if next == nil {
		next = &place{}
		p.below[key] = next
	}
	return next
}

// walk goes through a root as if its fragments were written out.
type walk struct {
	*guard
	rootFields int
}

// set looks at the selections at a place. depth is theirs, lists the introspection lists they are in.
func (w *walk) set(set ast.SelectionSet, at *place, depth, lists int) *gqlerror.Error {
	for _, selection := range set {
		w.steps++
		var err *gqlerror.Error
		switch s := selection.(type) {
		case *ast.Field:
			err = w.field(s, at, depth, lists)
		case *ast.InlineFragment:
			err = w.set(s.SelectionSet, at, depth, lists)
		case *ast.FragmentSpread:
			if f := w.fragments[s.Name]; f != nil {
				err = w.set(f.SelectionSet, at, depth, lists)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) field(f *ast.Field, at *place, depth, lists int) *gqlerror.Error {
	if depth > w.maxDepth {
		return w.over("MAX_DEPTH", w.maxDepth, "The document nests fields deeper")
	}
	if depth == 1 {
		w.rootFields++
	}
	if f.Alias != f.Name {
		if w.aliases++; w.aliases > doclimits.MaxAliases {
			return w.over("MAX_ALIASES", doclimits.MaxAliases, "The document has more aliases, with its fragments expanded,")
		}
	}
	here := at.at(f.Alias)
	if here.selections++; here.selections > doclimits.MaxRepeats {
		return w.over("MAX_REPEATS", doclimits.MaxRepeats, "The document selects one field more often")
	}
	if introspectionLists[f.Name] {
		if lists++; lists > doclimits.MaxIntrospectionDepth {
			return w.over("MAX_INTROSPECTION_DEPTH", doclimits.MaxIntrospectionDepth, "The document nests the lists of types deeper")
		}
	}
	return w.set(f.SelectionSet, here, depth+1, lists)
}

// introspectionLists are the fields of __Type that lead to lists of types again (the rule
// MaxIntrospectionDepth of graphql-js). No field of our own types has such a name: a test says so.
var introspectionLists = map[string]bool{"fields": true, "interfaces": true, "possibleTypes": true, "inputFields": true}
