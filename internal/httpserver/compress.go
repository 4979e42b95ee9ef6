package httpserver

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"
)

// compressFrom is the size from which a response is compressed, in bytes. Below it the time is worth more than the
// bytes.
const compressFrom = 4 << 10

// compress compresses responses with gzip for clients that accept it. It must not be used where responses hold a
// secret beside text that the client chooses: their compressed length would reveal the secret a letter at a time
// (BREACH).
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
