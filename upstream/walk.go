package upstream

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"authentik-graphql/internal/jsonplain"
)

// maxNesting is how deep JSON may go, as in encoding/json: without a bound, a few megabytes of brackets
// would make whatever reads them later fill the memory with its stack.
const maxNesting = 10_000

var errSyntax = errors.New("decode: not JSON in UTF-8")

// walker reads a JSON text (RFC 8259) from front to back. Once the text turns out to be none, err is
// errSyntax and nothing is left to read. It takes what encoding/json takes, so names may repeat. It is
// here because an answer of authentik is read when it comes and whenever its row is shown, for which a
// general reader of JSON takes longer.
type walker struct {
	text string
	at   int
	open []byte // the brackets that end what is begun
	err  error  // ends the walk
}

// walk reads a text, which is one value, by read.
func (w *walker) walk(text string, read func()) error {
	if !utf8.ValidString(text) {
		return errSyntax
	}
	*w = walker{text: text, open: w.open[:0]}
	read()
	w.end()
	return w.err
}

// validJSON is json.Valid.
func validJSON(text []byte) bool {
	w := walker{text: string(text)}
	w.skip()
	w.end()
	return w.err == nil
}

// end wants nothing more.
func (w *walker) end() {
	if w.peek(); w.err == nil && w.at < len(w.text) {
		w.fail(errSyntax)
	}
}

// fail ends the walk with its first error.
func (w *walker) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.at = len(w.text)
}

// peek passes over white space and returns the byte at which a value begins, 0 at the end. No value
// begins with 0.
func (w *walker) peek() byte {
	for ; w.at < len(w.text); w.at++ {
		switch c := w.text[w.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// next reads a whole value, which is a part of the text. Where the text is not JSON it is of no kind.
func (w *walker) next() string {
	w.peek()
	start := w.at
	w.skip()
	if w.err != nil {
		return ""
	}
	return w.text[start:w.at]
}

// object reads an object by its members, whose values member reads. Anything else is passed over.
func (w *walker) object(member func(key string)) (isObject bool) {
	if w.peek() != '{' {
		w.skip()
		return false
	}
	w.within(func() { member(unquote(w.name())) })
	return true
}

// elements reads a list by its elements, which element reads. Anything else is left.
func (w *walker) elements(element func()) (isList bool) {
	if w.peek() != '[' {
		return false
	}
	w.within(element)
	return true
}

// within reads what is between two brackets.
func (w *walker) within(read func()) {
	for more := w.enter(); more && w.err == nil; more = w.more() {
		read()
	}
}

// skip passes over a value.
func (w *walker) skip() {
	depth := len(w.open)
	for w.err == nil {
		switch c := w.peek(); {
		case c == '"':
			w.str()
		case c == '{', c == '[':
			if w.enter() {
				w.nameIfDue()
				continue
			}
		case c == '-', '0' <= c && c <= '9':
			w.number()
		default:
			w.literal()
		}
		for len(w.open) > depth && w.err == nil { // the value's end may be that of others
			if w.more() {
				w.nameIfDue()
				break
			}
		}
		if len(w.open) == depth {
			return
		}
	}
}

// nameIfDue passes over a member's name, within an object.
func (w *walker) nameIfDue() {
	if w.open[len(w.open)-1] == '}' {
		w.name()
	}
}

// enter passes over an opening bracket, and over the closing one too if nothing is between.
func (w *walker) enter() (more bool) {
	if len(w.open) == maxNesting {
		w.fail(errSyntax)
		return false
	}
	w.open = append(w.open, w.text[w.at]+2) // '}' and ']' are two after '{' and '['
	w.at++
	return !w.leave()
}

// more passes over what stands after a value: a comma before one more, or the closing bracket.
func (w *walker) more() bool {
	if w.leave() {
		return false
	}
	if w.peek() != ',' {
		w.fail(errSyntax)
		return false
	}
	w.at++
	return true
}

func (w *walker) leave() bool {
	last := len(w.open) - 1
	if w.peek() != w.open[last] {
		return false
	}
	w.open = w.open[:last]
	w.at++
	return true
}

// name reads a member's name, with the colon.
func (w *walker) name() string {
	if w.peek() != '"' {
		w.fail(errSyntax)
		return ""
	}
	start := w.at
	w.str()
	end := w.at
	if w.peek() != ':' {
		w.fail(errSyntax)
		return ""
	}
	w.at++
	return w.text[start:end]
}

// str passes over a string.
func (w *walker) str() {
	i := w.at + 1
	for {
		i += jsonplain.Prefix(w.text[i:])
		if strings.HasPrefix(w.text[i:], `"`) {
			w.at = i + 1
			return
		}
		n := 0 // at the end of the text, and at a control character
		if strings.HasPrefix(w.text[i:], `\`) {
			n = escaped(w.text[i+1:])
		}
		if n == 0 {
			w.fail(errSyntax)
			return
		}
		i += 1 + n
	}
}

// escaped is how many bytes after a backslash belong to it, 0 if what follows is no escape.
func escaped(text string) int {
	switch {
	case len(text) > 0 && strings.IndexByte(`"\/bfnrt`, text[0]) >= 0:
		return 1
	case len(text) < 5 || text[0] != 'u':
		return 0
	}
	for i := 1; i < 5; i++ {
		if !isHex(text[i]) {
			return 0
		}
	}
	return 5
}

func isHex(c byte) bool { return hexDigits[c] }

var hexDigits = func() (is [256]bool) {
	for _, c := range []byte("0123456789abcdefABCDEF") {
		is[c] = true
	}
	return is
}()

// number passes over a number.
func (w *walker) number() {
	if w.text[w.at] == '-' {
		w.at++
	}
	if w.at < len(w.text) && w.text[w.at] == '0' {
		w.at++
	} else {
		w.digits()
	}
	if w.at < len(w.text) && w.text[w.at] == '.' {
		w.at++
		w.digits()
	}
	if w.at < len(w.text) && w.text[w.at]|' ' == 'e' {
		w.at++
		if w.at < len(w.text) && (w.text[w.at] == '+' || w.text[w.at] == '-') {
			w.at++
		}
		w.digits()
	}
}

// digits passes over one digit or more.
func (w *walker) digits() {
	start := w.at
	for w.at < len(w.text) && '0' <= w.text[w.at] && w.text[w.at] <= '9' {
		w.at++
	}
	if w.at == start {
		w.fail(errSyntax)
	}
}

// literal passes over true, false or null.
func (w *walker) literal() {
	for _, word := range []string{"true", "false", "null"} {
		if strings.HasPrefix(w.text[w.at:], word) {
			w.at += len(word)
			return
		}
	}
	w.fail(errSyntax)
}

// isString tells whether a value is a string.
func isString(v string) bool { return v != "" && v[0] == '"' }

// unquote is the text of a JSON string, which is a part of it if it can be; nothing of another value.
// Half a surrogate pair is U+FFFD.
func unquote(v string) string {
	switch {
	case !isString(v):
		return ""
	case strings.IndexByte(v, '\\') < 0:
		return v[1 : len(v)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, v)
	return string(text)
}
