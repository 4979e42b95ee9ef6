package graph

import (
	"reflect"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// weights are how many elements a list field has, by "Type.field", as far as the schema tells.
// Fields of introspection have as many as this schema has parts. A list of authentik's counts as
// one element: how long it is only authentik knows, and Limits.Answer bounds it.
type weights map[string]int

// sizedBy names the argument that tells the length of a list at the top of an operation: a list of
// the same length, or a number.
var sizedBy = map[string]string{
	"_entities": "representations", "authorizationCodes": "first", "accessTokens": "first", "refreshTokens": "first",
}

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

// rootCost is the cost of one root field: 1, and for each element of it that of what it selects.
type rootCost struct {
	field *ast.Field
	below int
}

// costs returns what an operation's root fields cost. The guard has bounded the walk. Costs stop
// growing at limit+1, which is too much whatever they would have been.
func (w weights) costs(op *ast.OperationDefinition, limit int) []rootCost {
	var roots []rootCost
	var collect func(ast.SelectionSet)
	collect = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				roots = append(roots, rootCost{s, w.below(s, limit)})
			case *ast.InlineFragment:
				collect(s.SelectionSet)
			case *ast.FragmentSpread:
				collect(s.Definition.SelectionSet)
			}
		}
	}
	collect(op.SelectionSet)
	return roots
}

// below is what one element of a field costs.
func (w weights) below(f *ast.Field, limit int) int {
	total := 0
	var add func(ast.SelectionSet)
	add = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				elements := 1
				if s.ObjectDefinition != nil {
					if n, ok := w[s.ObjectDefinition.Name+"."+s.Name]; ok {
						elements = n
					}
				}
				total = min(total+1+elements*w.below(s, limit), limit+1)
			case *ast.InlineFragment:
				add(s.SelectionSet)
			case *ast.FragmentSpread:
				add(s.Definition.SelectionSet)
			}
		}
	}
	add(f.SelectionSet)
	return total
}

// elementCost is what an element of a list costs beside what is selected of it: it is asked for.
const elementCost = 10

// complexity is an operation's cost with its variables.
func complexity(roots []rootCost, variables map[string]any, limit int) int {
	total := 0
	for _, root := range roots {
		elements, each := 1, root.below
		if name, sized := sizedBy[root.field.Name]; sized {
			elements, each = lengthOf(root.field.Arguments.ForName(name), variables), each+elementCost
		}
		total = min(total+1+elements*each, limit+1)
	}
	return total
}

// lengthOf is what an argument says of a list's length. A value that is neither a list nor a number
// stands for a list of itself. A number of which no list has as many elements is refused where it is
// read, by its name.
func lengthOf(arg *ast.Argument, variables map[string]any) int {
	switch {
	case arg == nil, arg.Value.Kind == ast.NullValue:
		return defaultFirst
	case arg.Value.Kind == ast.IntValue:
		return numberOf(arg.Value.Raw)
	case arg.Value.Kind == ast.ListValue:
		return len(arg.Value.Children)
	case arg.Value.Kind == ast.Variable:
		switch v := reflect.ValueOf(variables[arg.Value.Raw]); v.Kind() {
		case reflect.Slice:
			return v.Len()
		case reflect.Invalid: // null, or not given
			return defaultFirst
		case reflect.Int64, reflect.Int32, reflect.Int:
			return int(min(max(v.Int(), 0), maxFirst))
		case reflect.String: // of digits, which is taken for an Int
			return numberOf(v.String())
		}
	}
	return 1
}

func numberOf(s string) int {
	n, _ := strconv.Atoi(s)
	return min(max(n, 0), maxFirst)
}
