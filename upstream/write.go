package upstream

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// writer appends JSON.
type writer struct{ b []byte }

// comma separates what follows from a member or element before it.
func (w *writer) comma() {
	if last := w.b[len(w.b)-1]; last != '{' && last != '[' {
		w.b = append(w.b, ',')
	}
}

// name begins a member. The name needs no escapes.
func (w *writer) name(name string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

// list writes n elements by the function.
func (w *writer) list(n int, element func(i int)) {
	w.b = append(w.b, '[')
	for i := range n {
		w.comma()
		element(i)
	}
	w.b = append(w.b, ']')
}

func (w *writer) int(n int64) { w.b = strconv.AppendInt(w.b, n, 10) }

// quote writes a text, which is in UTF-8.
func (w *writer) quote(s string) { w.b, _ = jsontext.AppendQuote(w.b, s) }

func (w *writer) moment(t *time.Time) {
	w.b = t.AppendFormat(append(w.b, '"'), time.RFC3339Nano)
	w.b = append(w.b, '"')
}
