package graph

import (
	"reflect"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/graph/scalar"
)

// planner compiles plans from the schema and the generated Go types, so that a new field needs no change
// here. It leaves to gqlgen what it does not know, and everything without query.
type planner struct {
	schema   *ast.Schema
	resolver *Resolver
	query    reflect.Value // a generated.QueryResolver
}

func newPlanner(schema *ast.Schema, r *Resolver) planner {
	query := r.Query()
	return planner{schema, r, reflect.ValueOf(&query).Elem()}
}

// resolver is the method that resolves a root field. The zero value is none.
type resolver struct {
	fn     reflect.Value
	goType reflect.Type // of what it returns
	args   []argument
}

// argument reads an argument of a resolver as the generated code does.
type argument struct {
	name   string
	goType reflect.Type
	read   func(v any, into reflect.Value) error
}

// resolverOf returns the resolver of a field of Query. Its parameters are the field's arguments, in order.
func (p planner) resolverOf(field *ast.FieldDefinition) (r resolver) {
	for i := range p.query.NumMethod() {
		if strings.EqualFold(p.query.Type().Method(i).Name, field.Name) {
			r.fn = p.query.Method(i)
		}
	}
	if !r.fn.IsValid() {
		return resolver{}
	}
	for i, def := range field.Arguments {
		goType, l := r.fn.Type().In(i+1), leaves[def.Type.NamedType]
		value := goType
		if goType.Kind() == reflect.Pointer {
			value = goType.Elem()
		}
		if reflect.PointerTo(value).Implements(reflect.TypeFor[graphql.Unmarshaler]()) {
			l = leaf{goType: value, read: readEnum}
		}
		if l.goType != value {
			return resolver{}
		}
		r.args = append(r.args, argument{def.Name, goType, l.read})
	}
	if r.goType = r.fn.Type().Out(0); r.goType.Kind() != reflect.Pointer {
		return resolver{}
	}
	return r
}

// arguments returns the parameters of a call, with room for the context. It returns nil if an argument
// cannot be read.
func (r resolver) arguments(given map[string]any) []reflect.Value {
	in := make([]reflect.Value, 1+len(r.args))
	for i, arg := range r.args {
		v, into := given[arg.name], reflect.New(arg.goType).Elem()
		in[i+1] = into
		if v != nil && into.Kind() == reflect.Pointer {
			into.Set(reflect.New(arg.goType.Elem()))
			into = into.Elem()
		}
		if into.Kind() != reflect.Pointer && arg.read(v, into) != nil {
			return nil
		}
	}
	return in
}

// compile compiles an operation. It returns nil if gqlgen must execute it.
func (p planner) compile(op *ast.OperationDefinition, variables map[string]any) plan {
	c := &compiler{planner: p, variables: variables, unknown: len(op.Directives) > 0}
	var made plan
	for _, s := range c.collect(nil, p.schema.Query, op.SelectionSet) {
		root := rootField{selected: s, resolver: p.resolverOf(s.Definition)}
		root.step = c.step(s, p.schema.Query, root.resolver.goType)
		made = append(made, root)
	}
	if c.unknown {
		return nil
	}
	return made
}

// compiler compiles one operation.
type compiler struct {
	planner
	variables map[string]any
	// unknown reports that the operation has something that only gqlgen knows.
	unknown bool
}

// selected is a field of the response: all selections with its response key.
type selected struct {
	*ast.Field
	sets []ast.SelectionSet
}

// collect adds the fields that an object of a type has in the response for a selection set (CollectFields
// in GraphQL's specification). A fragment that is spread twice adds nothing. The document's limits bound
// the recursion.
func (c *compiler) collect(fields []selected, of *ast.Definition, set ast.SelectionSet) []selected {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			if !c.included(s.Directives) {
				continue
			}
			at := slices.IndexFunc(fields, func(f selected) bool { return f.Alias == s.Alias })
			if at < 0 {
				at = len(fields)
				fields = append(fields, selected{Field: s})
			}
			fields[at].sets = append(fields[at].sets, s.SelectionSet)
		case *ast.InlineFragment:
			if c.included(s.Directives) && c.applies(s.TypeCondition, of) {
				fields = c.collect(fields, of, s.SelectionSet)
			}
		case *ast.FragmentSpread:
			if c.included(s.Directives) && c.applies(s.Definition.TypeCondition, of) {
				fields = c.collect(fields, of, s.Definition.SelectionSet)
			}
		}
	}
	return fields
}

// applies reports whether a fragment with a type condition is for objects of a type.
func (c *compiler) applies(condition string, of *ast.Definition) bool {
	return condition == "" || slices.ContainsFunc(c.schema.PossibleTypes[condition], func(def *ast.Definition) bool { return def.Name == of.Name })
}

// included evaluates @skip and @include, whose conditions are known to be true or false.
func (c *compiler) included(directives ast.DirectiveList) bool {
	for _, d := range directives {
		if d.Name != "skip" && d.Name != "include" {
			c.unknown = true
		} else if holds, _ := d.Arguments.ForName("if").Value.Value(c.variables); holds != (d.Name == "include") {
			return false
		}
	}
	return true
}

// object compiles what is selected of an object that is a Go struct.
func (c *compiler) object(of *ast.Definition, t reflect.Type, sets []ast.SelectionSet) []step {
	var fields []selected
	for _, set := range sets {
		fields = c.collect(fields, of, set)
	}
	steps := make([]step, len(fields))
	for i, s := range fields {
		field, known := t.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, s.Name) })
		steps[i] = c.step(s, of, field.Type)
		if known {
			steps[i].member = field.Index[0]
		}
		c.unknown = c.unknown || len(s.Definition.Arguments) > 0
	}
	return steps
}

// step compiles a field. goType is nil if its Go type is not known.
func (c *compiler) step(s selected, of *ast.Definition, goType reflect.Type) step {
	made := step{name: s.Alias}
	if s.Name == "__typename" {
		made.write = func(_ *execution, b []byte, _ reflect.Value, _ []step) []byte { return scalar.AppendString(b, of.Name) }
	} else if goType != nil {
		made.write, made.below = c.value(s, of.Fields.ForName(s.Name).Type, goType)
	}
	c.unknown = c.unknown || made.write == nil
	return made
}

// value returns the writer of a value, and the steps for the objects in it. A Go value that can be null
// where the schema does not allow it is left to gqlgen, which makes an error of it.
func (c *compiler) value(s selected, t *ast.Type, goType reflect.Type) (write writer, below []step) {
	kind := goType.Kind()
	switch {
	case kind == reflect.Pointer && !t.NonNull:
		write, below = c.value(s, t, goType.Elem())
		return orNull(write), below
	case kind == reflect.Slice && t.Elem != nil:
		write, below = c.value(s, t.Elem, goType.Elem())
		return list(write, t.NonNull), below
	}
	switch def := c.schema.Types[t.NamedType]; {
	case def == nil:
	case def.Kind == ast.Object && kind == reflect.Struct:
		return writeObject, c.object(def, goType, s.sets)
	case def.Kind == ast.Enum && kind == reflect.String:
		return writeEnum, nil
	case leaves[def.Name].goType == goType && (kind != reflect.Slice || !t.NonNull):
		return leaves[def.Name].write, nil
	}
	c.unknown = true
	return nil, nil
}
