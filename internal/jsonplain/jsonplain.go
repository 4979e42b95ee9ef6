// Package jsonplain finds what stands for itself in a JSON string, which is nearly all of nearly every
// text.
package jsonplain

const each, highest = 0x0101010101010101, 0x8080808080808080

// Prefix is how many bytes of a text come before its first quote, backslash or control character.
func Prefix(text string) int {
	i := 0
	for len(text)-i >= 8 && areEight(text[i:]) {
		i += 8
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// areEight tells whether the first eight bytes stand for themselves. It looks at all of them at once: a
// byte from which something larger is taken borrows its highest bit. What lies above ASCII has that
// already, and stands for itself.
func areEight(text string) bool {
	_ = text[7] // one check of the bounds for all
	n := uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
		uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
	quote, backslash := n^each*'"', n^each*'\\'
	return ((n-each*' ')|(quote-each)|(backslash-each))&^n&highest == 0
}
