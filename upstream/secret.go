package upstream

import (
	"encoding"
	"fmt"
)

// The types of this package hold secrets and personal data, so none of them prints or marshals its
// content: a stray log line shows which row it was and no more. [AppendGrant] is the one way out.
// fmt does not call methods of values in unexported fields: hold a pointer there.

// Secret is a text that no log, error or JSON may show.
type Secret string

const redacted = "[redacted]"

// printText writes the text of v, whatever the verb is.
func printText(f fmt.State, v encoding.TextMarshaler) {
	text, _ := v.MarshalText()
	_, _ = f.Write(text)
}

// MarshalText implements [encoding.TextMarshaler] with "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalText implements [encoding.TextMarshaler] with "[redacted]".
func (c Credential) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalText implements [encoding.TextMarshaler] with the kind and primary key.
func (g Grant) MarshalText() ([]byte, error) { return []byte("grant " + g.PK.String()), nil }

// MarshalText implements [encoding.TextMarshaler] with the kind and primary key.
func (p Provider) MarshalText() ([]byte, error) { return []byte("provider " + p.PK.String()), nil }

// MarshalText implements [encoding.TextMarshaler] with the kind and primary key.
func (u User) MarshalText() ([]byte, error) { return []byte("user " + u.PK.String()), nil }

// MarshalText implements [encoding.TextMarshaler] with the kind.
func (g Group) MarshalText() ([]byte, error) { return []byte("group"), nil }

// MarshalText implements [encoding.TextMarshaler] with the kind.
func (r Role) MarshalText() ([]byte, error) { return []byte("role"), nil }

// MarshalText implements [encoding.TextMarshaler] with the kind.
func (r RedirectURI) MarshalText() ([]byte, error) { return []byte("redirect URI"), nil }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (s Secret) Format(f fmt.State, _ rune) { printText(f, s) }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (c Credential) Format(f fmt.State, _ rune) { printText(f, c) }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (g Grant) Format(f fmt.State, _ rune) { printText(f, g) }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (p Provider) Format(f fmt.State, _ rune) { printText(f, p) }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (u User) Format(f fmt.State, _ rune) { printText(f, u) }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (g Group) Format(f fmt.State, _ rune) { printText(f, g) }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (r Role) Format(f fmt.State, _ rune) { printText(f, r) }

// Format implements [fmt.Formatter] with the text of MarshalText.
func (r RedirectURI) Format(f fmt.State, _ rune) { printText(f, r) }
