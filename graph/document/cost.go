package document

import (
	"reflect"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// The argument first of a list.
const (
	DefaultFirst = 20
	MaxFirst     = 100
)

// elementCost is what an element of a list costs beside its fields: it is asked for.
const elementCost = 10

// weights are how many elements a list field has, by "Type.field", as far as the schema tells. A list
// of introspection has as many as this schema. A list of authentik's counts as one element: its length
// is not known, and Limits.Answer bounds it.
type weights map[string]int

func newWeights(schema *ast.Schema) weights {
	fields, inputs, args, values := 0, 0, 0, 0
	for _, t := range schema.Types {
		values += len(t.EnumValues)
		if t.Kind == ast.InputObject {
			inputs += len(t.Fields)
			continue
		}
		fields += len(t.Fields)
		for _, f := range t.Fields {
			args += len(f.Arguments)
		}
	}
	mean := func(n, of int) int { return (n + of - 1) / max(of, 1) }
	types := len(schema.Types)
	return weights{
		"__Schema.types":      types,
		"__Schema.directives": len(schema.Directives),
		"__Type.fields":       mean(fields, types),
		"__Type.inputFields":  mean(inputs, types),
		"__Type.enumValues":   mean(values, types),
		"__Field.args":        mean(args, fields),
	}
}

// rootCost is the cost of one element of a root field, without the number of its elements, which may be
// in a variable.
type rootCost struct {
	field   *ast.Field
	element int
}

// costs returns the costs of an operation's root fields. Costs stop growing just above the limit.
func (w weights) costs(op *ast.OperationDefinition, limit int) (roots []rootCost) {
	eachField(op.SelectionSet, func(f *ast.Field) { roots = append(roots, rootCost{f, w.element(f, limit)}) })
	return roots
}

// element is the cost of one element of a field.
func (w weights) element(f *ast.Field, limit int) (total int) {
	eachField(f.SelectionSet, func(f *ast.Field) {
		elements := 1
		if f.ObjectDefinition != nil {
			if n, ok := w[f.ObjectDefinition.Name+"."+f.Name]; ok {
				elements = n
			}
		}
		total = min(total+1+elements*w.element(f, limit), limit+1)
	})
	return total
}

// eachField calls do for the fields of a selection set, with fragments expanded.
func eachField(set ast.SelectionSet, do func(*ast.Field)) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			do(s)
		case *ast.InlineFragment:
			eachField(s.SelectionSet, do)
		case *ast.FragmentSpread:
			eachField(s.Definition.SelectionSet, do)
		}
	}
}

// complexity is an operation's cost with its variables. A root field with an argument that determines
// the length of its list costs as much for each element.
func complexity(roots []rootCost, variables map[string]any, limit int) int {
	total := 0
	for _, root := range roots {
		elements, each := 1, root.element
		for _, name := range [...]string{"first", "representations"} {
			if root.field.Definition.Arguments.ForName(name) != nil {
				elements, each = lengthOf(root.field.Arguments.ForName(name), variables), each+elementCost
			}
		}
		total = min(total+1+elements*each, limit+1)
	}
	return total
}

// lengthOf is the length of a list by the argument that determines it: a number, or a list of the same
// length. Anything else counts as a list of itself. A number out of range is refused where it is read.
func lengthOf(arg *ast.Argument, variables map[string]any) int {
	switch {
	case arg == nil, arg.Value.Kind == ast.NullValue:
		return DefaultFirst
	case arg.Value.Kind == ast.IntValue:
		return numberOf(arg.Value.Raw)
	case arg.Value.Kind == ast.ListValue:
		return len(arg.Value.Children)
	case arg.Value.Kind == ast.Variable:
		switch v := reflect.ValueOf(variables[arg.Value.Raw]); v.Kind() {
		case reflect.Slice:
			return v.Len()
		case reflect.Invalid: // null, or not given
			return DefaultFirst
		case reflect.Int64, reflect.Int32, reflect.Int:
			return int(min(max(v.Int(), 0), MaxFirst))
		case reflect.String: // of digits, which is taken for an Int
			return numberOf(v.String())
		}
	}
	return 1
}

func numberOf(s string) int {
	n, _ := strconv.Atoi(s)
	return min(max(n, 0), MaxFirst)
}
