package graph

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
	"pgregory.net/rapid"

	"authentik-graphql/upstream"
)

// drawnDocument draws a valid query of the schema: aliases, fields that are merged, fragments of all
// kinds, conditions, and roots with arguments.
type drawnDocument struct {
	t         *rapid.T
	schema    *ast.Schema
	fields    int // that may still be drawn
	fragments []drawnFragment
	variables map[string]string // declaration by name
	values    map[string]any
	arguments map[string]string // by the response name of a root field
	panics    int               // a key that was not used yet
}

type drawnFragment struct{ name, on, text string }

func (d *drawnDocument) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.t, what) }

func oneOf[T any](d *drawnDocument, what string, of ...T) T { return of[d.draw(len(of), what)] }

func drawDocument(t *rapid.T, schema *ast.Schema) *drawnDocument {
	return &drawnDocument{t: t, schema: schema, fields: 60, variables: map[string]string{}, values: map[string]any{}, arguments: map[string]string{}, panics: drawnPanic}
}

// text draws the document.
func (d *drawnDocument) text() string {
	body := d.set(d.schema.Query, 0)
	var b strings.Builder
	b.WriteString("query Drawn")
	if len(d.variables) > 0 {
		b.WriteString("(")
		for name, declaration := range d.variables {
			fmt.Fprintf(&b, "$%s: %s ", name, declaration)
		}
		b.WriteString(")")
	}
	b.WriteString(" " + body)
	for _, f := range d.fragments {
		fmt.Fprintf(&b, "\nfragment %s on %s %s", f.name, f.on, f.text)
	}
	return b.String()
}

// set draws a selection set for a type.
func (d *drawnDocument) set(of *ast.Definition, depth int) string {
	selections := []string{oneOf(d, "first", "__typename", "t: __typename", "__typename @skip(if: true)")}
	if len(of.Fields) > 0 && d.draw(3, "only that") > 0 {
		selections = nil
	}
	for n := d.draw(6, "selections"); n > 0 && d.fields > 0 || len(selections) == 0; n-- {
		d.fields--
		selections = append(selections, d.selection(of, depth))
	}
	return "{ " + strings.Join(selections, " ") + " }"
}

func (d *drawnDocument) selection(of *ast.Definition, depth int) string {
	if depth > 9 || d.draw(4, "kind") > 0 {
		return d.field(of, depth)
	}
	types := []string{of.Name}
	for _, other := range slices.Concat(d.schema.GetImplements(of), d.schema.GetPossibleTypes(of)) {
		types = append(types, other.Name)
	}
	if d.draw(3, "named") > 0 {
		condition := oneOf(d, "condition", append(types, "")...)
		return d.fragmentOn(of, condition, depth, "... on "+condition)
	}
	for _, f := range d.fragments {
		if f.on == of.Name && d.draw(2, "again") == 0 {
			return "..." + f.name + d.directive()
		}
	}
	on := oneOf(d, "fragment's type", types...)
	text := d.set(d.within(of, on), depth+1)
	name := fmt.Sprintf("F%d", len(d.fragments))
	d.fragments = append(d.fragments, drawnFragment{name, on, text})
	return "..." + name + d.directive()
}

func (d *drawnDocument) fragmentOn(of *ast.Definition, condition string, depth int, text string) string {
	if condition == "" {
		text = "..."
	}
	return text + d.directive() + " " + d.set(d.within(of, condition), depth+1)
}

// within draws the type of a fragment. Of a union only __typename can be selected, here as well as a
// fragment on the type itself.
func (d *drawnDocument) within(of *ast.Definition, condition string) *ast.Definition {
	if condition == "" {
		return of
	}
	return d.schema.Types[condition]
}

func (d *drawnDocument) field(of *ast.Definition, depth int) string {
	var fields []*ast.FieldDefinition
	for _, f := range of.Fields {
		if !strings.HasPrefix(f.Name, "_") && (depth < 12 || d.schema.Types[f.Type.Name()].IsLeafType()) {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 {
		return oneOf(d, "alias of __typename", "", "u: ") + "__typename"
	}
	f := oneOf(d, "field", fields...)
	name := oneOf(d, "alias", f.Name, f.Name, "a_"+f.Name, "b_"+f.Name)
	arguments, known := d.arguments[name]
	if len(f.Arguments) > 0 && !known {
		arguments = d.argumentsOf(f)
		d.arguments[name] = arguments
	}
	text := f.Name + arguments + d.directive()
	if name != f.Name {
		text = name + ": " + text
	}
	if def := d.schema.Types[f.Type.Name()]; !def.IsLeafType() {
		text += " " + d.set(def, depth+1)
	}
	return text
}

func (d *drawnDocument) directive() string {
	switch d.draw(16, "directives") {
	case 0:
		return d.conditional("skip") + d.conditional("include")
	case 1, 2:
		return d.conditional("skip")
	case 3, 4:
		return d.conditional("include")
	}
	return ""
}

func (d *drawnDocument) conditional(directive string) string {
	condition := oneOf(d, "condition", "true", "false", "$c0", "$c1", "$c2")
	if name, variable := strings.CutPrefix(condition, "$"); variable {
		d.variables[name] = oneOf(d, "condition's type", "Boolean!", "Boolean = true", "Boolean! = false")
		delete(d.values, name)
		if strings.HasSuffix(d.variables[name], "!") || d.draw(2, "given") == 0 {
			d.values[name] = d.draw(2, "value") == 0
		}
	}
	return fmt.Sprintf(" @%s(if: %s)", directive, condition)
}

// argumentsOf draws arguments: mostly valid ones, some that the resolver refuses, and some that gqlgen
// cannot read.
func (d *drawnDocument) argumentsOf(f *ast.FieldDefinition) string {
	var list []string
	for _, arg := range f.Arguments {
		if !arg.Type.NonNull && d.draw(3, "left out") > 0 {
			continue
		}
		text, value := d.argument(f, arg)
		if arg.Type.NonNull && text == "null" || d.draw(3, "variable") == 0 {
			name := fmt.Sprintf("v%d", len(d.variables))
			d.variables[name] = arg.Type.String()
			if value != nil || arg.Type.NonNull || d.draw(2, "null") == 0 {
				d.values[name] = value
			}
			text = "$" + name
		}
		list = append(list, arg.Name+": "+text)
	}
	if list == nil {
		return ""
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// argument draws a value as a literal and as a variable's.
func (d *drawnDocument) argument(f *ast.FieldDefinition, arg *ast.ArgumentDefinition) (string, any) {
	var value any
	switch arg.Type.Name() {
	case "ID":
		value = oneOf[any](d, "id", 1, "1", "2", "3", 4, 5, "6", "7", drawnUnknown, drawnBroken, d.panics, drawnStale, "01", "x\n\"", -1)
		if value == d.panics { // of two fields that share a read that panics, either may report it
			d.panics = 1
		}
	case "Int":
		value = oneOf[any](d, "first", 1, 2, 3, 4, 5, 7, 100, 0, 101, 1<<40, nil)
	case "GrantOrder":
		if d.draw(4, "order in lower case") == 0 {
			return "NEWEST_FIRST", "newest_first"
		}
		order := oneOf(d, "order", "NEWEST_FIRST", "OLDEST_FIRST")
		return order, order
	default:
		cursor := writeCursor(upstream.Position{PK: 2, Offset: 1}, upstream.AuthorizationCodes, false)
		value = oneOf[any](d, "text", cursor, cursor, "x", "", nil)
	}
	text, _ := json.Marshal(value)
	return string(text), value
}

// fill draws a value of a domain type: null or empty half of the time, and strings that must be escaped.
// gqlgen writes the same escapes for them as jsontext.
func fill(t *rapid.T, v reflect.Value) {
	few := func(n int) int { return rapid.IntRange(0, n).Draw(t, "n") }
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(few(math.MaxInt32)), int64(few(2))*1500)))
		return
	case jsontext.Value:
		v.Set(reflect.ValueOf(rapid.SampledFrom([]jsontext.Value{nil, jsontext.Value("null"), jsontext.Value(`{"a": [1, "<\u00e9>"], "b":{ }}`)}).Draw(t, "JSON")))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if few(1) == 1 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		if n := few(3); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range n - 1 {
				fill(t, v.Index(i))
			}
		}
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.IsExported() {
				fill(t, v.FieldByIndex(f.Index))
			}
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom([]string{"", "x", "confidential", "UNKNOWN", "6d2b6d5e-0000-4000-8000-000000000001",
			"a\"b\\c\t\r\n\x00\x10\x7f", "<é \u2028 \U0001F600>"}).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(few(1) == 1)
	default:
		v.SetInt(int64(few(math.MaxInt32)))
	}
}
