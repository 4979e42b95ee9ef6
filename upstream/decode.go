package upstream

import (
	"errors"
	"time"
)

// DecodeGrant reads a grant as authentik sends it. An answer without pk, provider.pk or user.pk is an
// error, and so is an is_expired or expires of an unexpected form, though both may be absent. Any
// other field of an unexpected form becomes nil and is named in dropped, such as "user.email". A
// text that is not JSON in UTF-8 is an error.
//
// sent is when the request left: an Expires before it, on a grant that authentik calls alive,
// means that the grant never expires.
func DecodeGrant(body []byte, sent time.Time) (g *Grant, dropped []string, err error) {
	return decode(body, sent, (*decoder).grant)
}

// AppendGrant writes a grant for storage, in the names of the newest release. What it appends holds
// everything the grant holds, its secret too: it must be sealed before it leaves the process.
func AppendGrant(b []byte, g *Grant) []byte {
	w := writer{b}
	grantObject.encode(&w, g)
	return w.b
}

// RestoreGrant reads what [AppendGrant] wrote. The strings of the grant are parts of it.
func RestoreGrant(stored string) (g *Grant, err error) {
	d := decoder{stored: true}
	if err := d.read(stored, func() { g = d.grant() }); err != nil {
		return nil, err
	}
	return g, nil
}

// decoder reads values of our types by their tables.
type decoder struct {
	reader
	sent    time.Time // when the request left
	stored  bool      // the text was written by AppendGrant or AppendRows, not by authentik
	dropped []string
	// saysExpired reports whether the present grant has an is_expired.
	saysExpired bool
}

// decode reads an answer by the function value.
func decode[T any](body []byte, sent time.Time, value func(*decoder) T) (t T, dropped []string, err error) {
	d := decoder{sent: sent}
	if err := d.read(string(body), func() { t = value(&d) }); err != nil {
		var none T
		return none, d.dropped, err
	}
	return t, d.dropped, nil
}

// drop notes that a field's value has an unexpected form. The path is constant: it goes to the log and
// the metrics.
func (d *decoder) drop(path string) { d.dropped = append(d.dropped, path) }

// refuse ends the reading because of a field that must be right. The text is constant: it goes to the log.
func (d *decoder) refuse(what string) { d.fail(errors.New("decode: " + what)) }

func (d *decoder) grant() *Grant {
	d.saysExpired = false
	g := grantObject.value(d)
	if g.Scope == nil {
		g.Scope = []string{}
	}
	if d.stored { // settled when it was fetched, and redaction may have taken provider or user
		return g
	}
	if g.Provider == nil || g.User == nil {
		d.refuse("provider or user is missing")
	}
	d.settleExpiry(g)
	return g
}

// settleExpiry sets Expired and EndsAt by what authentik said and when it was asked.
func (d *decoder) settleExpiry(g *Grant) {
	if g.Expires == nil {
		return
	}
	switch later := g.Expires.After(d.sent); {
	case later && !g.Expired:
		g.EndsAt = g.Expires.Truncate(time.Microsecond) // as it is stored, and as authentik sends it
	case !later && !d.saysExpired:
		g.Expired = true
	}
}
