package main

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"
)

// compressFrom is the size from which an answer is compressed, in bytes: below it the time is worth
// more than the bytes.
const compressFrom = 4 << 10

// compress answers clients that accept it with gzip. It must not be used where answers hold a
// secret beside text that the client chooses: their compressed length gives the secret away, a
// letter at a time (BREACH).
func compress(next http.Handler) (http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(compressFrom),
		gzhttp.EnableZstd(false), // one coding that every client knows
		gzhttp.ContentTypeFilter(func(string) bool { return true }),
		gzhttp.SetContentType(false),
	)
	if err != nil {
		return nil, err
	}
	return wrap(next), nil
}
