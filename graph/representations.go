package graph

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/core"
)

// anyType is federation's scalar of a representation. gqlgen takes an object for it and nothing else,
// and fails a whole field, without a code, for one value that is none.
const anyType = "_Any"

// representationsAreObjects is a validation rule for representations that stand in the document.
var representationsAreObjects = core.Rule{
	Name: "RepresentationsAreObjects",
	RuleFunc: func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnValue(func(_ *core.Walker, value *ast.Value) {
			t := value.ExpectedType
			if t == nil || t.Name() != anyType || value.Kind == ast.ObjectValue || value.Kind == ast.Variable ||
				value.Kind == ast.ListValue && t.Elem != nil {
				return
			}
			addError(core.Message("A representation must be an object."), core.At(value.Position))
		})
	},
}

// onlyObjects replaces every variable's representation that is no object by an empty one, which fails
// by itself, with its place in the list. The variables are this request's own.
func onlyObjects(op *ast.OperationDefinition, variables map[string]any) {
	for _, v := range op.VariableDefinitions {
		if value, ok := variables[v.Variable]; ok && v.Type.Name() == anyType && value != nil {
			variables[v.Variable] = objectsIn(value, v.Type)
		}
	}
}

func objectsIn(value any, t *ast.Type) any {
	if list, ok := value.([]any); ok && t.Elem != nil {
		for i := range list {
			list[i] = objectsIn(list[i], t.Elem)
		}
		return list
	}
	if t.Elem != nil { // a single value stands for a list of itself
		return objectsIn(value, t.Elem)
	}
	if _, ok := value.(map[string]any); !ok {
		return map[string]any{}
	}
	return value
}
