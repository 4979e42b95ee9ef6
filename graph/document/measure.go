package document

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/internal/apierror"
)

// size is what was measured of a document.
type size struct {
	nodes int
	// expanded counts selections and values, with fragments expanded.
	expanded int
	// conditions are the variables in @skip and @include.
	conditions []string
}

// visitor measures a document before it is validated, because validation can take seconds: it compares
// fields of the same name in pairs.
//
// A first pass visits each node once. It sums up the expanded size of each definition from the sizes of
// its fragments. gqlparser walks every definition that way, fragments as well as operations, so that
// together they must be within MaxFields. A second pass expands the operations. Both take at most as
// many steps as the document has nodes, and twice MaxFields.
//
// The visitor keeps the first error. What it measures after an error means nothing.
type visitor struct {
	size
	err        *gqlerror.Error
	maxDepth   int
	directives int
	aliases    int
	steps      int
	fragments  map[string]*fragment
}

// fragment is a fragment's definition with its expanded size.
type fragment struct {
	*ast.FragmentDefinition
	size   int
	spread bool
}

// The sizes of a fragment whose size is not known.
const (
	unmeasured = -1
	measuring  = -2
)

func newVisitor(maxDepth int) *visitor {
	return &visitor{maxDepth: maxDepth, fragments: map[string]*fragment{}}
}

// measure measures a document, and refuses one that exceeds a limit.
func (v *visitor) measure(doc *ast.QueryDocument) *gqlerror.Error {
	v.check(len(doc.Operations), "MAX_OPERATIONS", MaxOperations, "The document has more operations")
	fragments := make([]*fragment, len(doc.Fragments))
	for i, f := range doc.Fragments {
		fragments[i] = &fragment{FragmentDefinition: f, size: unmeasured}
		if v.fragments[f.Name] == nil { // a spread means the first; a second one is invalid
			v.fragments[f.Name] = fragments[i]
		}
	}
	for _, op := range doc.Operations {
		v.variables(op.VariableDefinitions)
		v.expanded += v.selectionSet(op.SelectionSet, op.Directives)
		v.name(op.Name)
	}
	for _, f := range fragments {
		v.expanded += v.fragment(f)
	}
	v.checkFields(v.expanded)
	v.check(v.directives, "MAX_DIRECTIVES", MaxDirectives, "The document has more directives")
	v.nodes = v.steps

	for _, op := range doc.Operations {
		root := &responsePath{}
		v.expand(op.SelectionSet, root, 1, 0)
		fields := 0
		for _, path := range root.below {
			fields += path.selections
		}
		v.check(fields, "MAX_ROOT_FIELDS", MaxRootFields, "An operation has more fields at its top")
	}
	for _, f := range fragments {
		if !f.spread { // which is invalid, but validation looks at it
			v.expand(f.SelectionSet, &responsePath{}, 1, 0)
		}
	}
	return v.err
}

func (v *visitor) fail(err *gqlerror.Error) {
	if v.err == nil {
		v.err = err
	}
}

// check refuses more of something than a limit allows.
func (v *visitor) check(n int, limit string, most int, what string) {
	if n > most {
		v.fail(apierror.Over(limit, most, what).List()[0])
	}
}

func (v *visitor) checkFields(n int) {
	v.check(n, "MAX_FIELDS", MaxFields, "The document has more fields and values, with its fragments expanded,")
}

func (v *visitor) checkValueDepth(depth int) {
	v.check(depth, "MAX_VALUE_DEPTH", MaxValueDepth, "The document nests lists and objects deeper")
}

func (v *visitor) name(names ...string) {
	for _, name := range names {
		v.check(len(name), "MAX_NAME", MaxName, "The document has a name with more bytes")
	}
}

// selectionSet returns the expanded size of a selection set and of the directives before it. It stays
// just above MaxFields for anything larger, so that no sum overflows.
func (v *visitor) selectionSet(set ast.SelectionSet, directives ast.DirectiveList) int {
	total := v.directiveList(directives)
	for _, selection := range set {
		v.steps++
		total += 1 + v.selection(selection)
	}
	v.checkFields(total)
	return min(total, MaxFields+1)
}

func (v *visitor) selection(selection ast.Selection) int {
	switch s := selection.(type) {
	case *ast.Field:
		v.name(s.Alias, s.Name)
		return v.arguments(s.Arguments) + v.selectionSet(s.SelectionSet, s.Directives)
	case *ast.InlineFragment:
		v.name(s.TypeCondition)
		return v.selectionSet(s.SelectionSet, s.Directives)
	case *ast.FragmentSpread:
		v.name(s.Name)
		size := v.directiveList(s.Directives)
		if f := v.fragments[s.Name]; f != nil {
			f.spread = true
			size += v.fragment(f)
		}
		return size
	}
	return 0
}

func (v *visitor) fragment(f *fragment) int {
	switch f.size {
	case measuring:
		v.fail(invalid(gqlerror.ErrorPosf(f.Position, "Cannot spread fragment %q within itself.", f.Name)))
		return 0
	case unmeasured:
		f.size = measuring
		v.name(f.Name, f.TypeCondition)
		v.variables(f.VariableDefinition)
		f.size = v.selectionSet(f.SelectionSet, f.Directives)
	}
	return f.size
}

func (v *visitor) variables(definitions ast.VariableDefinitionList) {
	for _, def := range definitions {
		v.name(def.Variable)
		depth := -1 // the named type itself is no level
		for t := def.Type; t != nil; t = t.Elem {
			v.steps++
			v.name(t.NamedType)
			depth++
		}
		v.checkValueDepth(depth)
		if def.DefaultValue != nil {
			v.value(def.DefaultValue, 0)
		}
		v.directiveList(def.Directives)
	}
}

func (v *visitor) directiveList(list ast.DirectiveList) int {
	v.directives += len(list)
	total := 0
	for _, d := range list {
		v.steps++
		v.name(d.Name)
		total += 1 + v.arguments(d.Arguments)
		if condition := d.Arguments.ForName("if"); condition != nil && condition.Value.Kind == ast.Variable {
			v.conditions = append(v.conditions, condition.Value.Raw)
		}
	}
	return total
}

func (v *visitor) arguments(list ast.ArgumentList) int {
	total := 0
	for _, a := range list {
		v.name(a.Name)
		total += v.value(a.Value, 0)
	}
	return total
}

// value returns how many values a value is made of.
func (v *visitor) value(value *ast.Value, depth int) int {
	v.steps++
	switch value.Kind {
	case ast.ListValue, ast.ObjectValue:
		depth++
		v.checkValueDepth(depth)
	case ast.IntValue, ast.FloatValue:
		if _, err := value.Value(nil); err != nil { // gqlgen panics at such a number
			v.fail(apierror.New(apierror.BadUserInput, "A number in the document is out of range.").List()[0])
		}
	case ast.EnumValue, ast.Variable:
		v.name(value.Raw)
	}
	total := 1
	for _, child := range value.Children {
		v.name(child.Name)
		total += v.value(child.Value, depth)
	}
	return total
}

// responsePath is a path in the response: what all selections have in common that end up in one field
// of it, or in fields of the objects of one list.
type responsePath struct {
	selections int
	below      map[string]*responsePath
}

func (p *responsePath) at(key string) *responsePath {
	if p.below == nil {
		p.below = map[string]*responsePath{}
	}
	next := p.below[key]
	if next == nil {
		next = &responsePath{}
		p.below[key] = next
	}
	return next
}

// expand visits the selections at a path as if fragments were written out. depth is the selections'
// own, lists is how many lists of introspection they are in.
func (v *visitor) expand(set ast.SelectionSet, at *responsePath, depth, lists int) {
	for _, selection := range set {
		if v.err != nil {
			return
		}
		v.steps++
		switch s := selection.(type) {
		case *ast.Field:
			v.expandField(s, at.at(s.Alias), depth, lists)
		case *ast.InlineFragment:
			v.expand(s.SelectionSet, at, depth, lists)
		case *ast.FragmentSpread:
			if f := v.fragments[s.Name]; f != nil {
				v.expand(f.SelectionSet, at, depth, lists)
			}
		}
	}
}

func (v *visitor) expandField(f *ast.Field, at *responsePath, depth, lists int) {
	v.check(depth, "MAX_DEPTH", v.maxDepth, "The document nests fields deeper")
	if f.Alias != f.Name {
		v.aliases++
		v.check(v.aliases, "MAX_ALIASES", MaxAliases, "The document has more aliases, with its fragments expanded,")
	}
	at.selections++
	v.check(at.selections, "MAX_REPEATS", MaxRepeats, "The document selects one field more often")
	if introspectionLists[f.Name] {
		lists++
		v.check(lists, "MAX_INTROSPECTION_DEPTH", MaxIntrospectionDepth, "The document nests the lists of types deeper")
	}
	v.expand(f.SelectionSet, at, depth+1, lists)
}

// introspectionLists are the fields of __Type that lead to lists of types again (the rule
// MaxIntrospectionDepth of graphql-js). A test ensures that no field of our own types has such a name.
var introspectionLists = map[string]bool{"fields": true, "interfaces": true, "possibleTypes": true, "inputFields": true}
