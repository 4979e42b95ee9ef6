// Package jsondepth measures how deep JSON nests, before anything that recurses reads it.
package jsondepth

// Of is how deep the lists and objects of a well-formed JSON text go: 0 for one without any.
func Of(text []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return deepest
}
