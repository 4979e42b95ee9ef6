package grants

import (
	"context"
	"errors"
	"testing"

	"authentik-graphql/cache"
	"authentik-graphql/upstream"
)

// TestOutcomes checks what each failure of authentik means for cached values: of a read, and of a revocation, after
// which the caller's entry is dropped if the grant may be gone.
func TestOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		kind    upstream.Kind
		status  int
		want    cache.Outcome
		deleted bool // perhaps
	}{
		{"not found", upstream.NotFound, 404, cache.Denied, true},
		{"forbidden", upstream.Forbidden, 403, cache.Denied, false},
		{"a token that is none", upstream.Unauthenticated, 403, cache.Unauthenticated, false},
		{"401 of authentik's form", upstream.Unauthenticated, 401, cache.Unauthenticated, false},
		{"an argument", upstream.BadInput, 400, cache.Error, false},
		{"a limit", upstream.RateLimited, 429, cache.Error, false},
		{"the licence", upstream.Unlicensed, 400, cache.Error, false},
		{"a failure", upstream.Failed, 500, cache.Unavailable, true},
		{"starting", upstream.Unavailable, 503, cache.Unavailable, true},
		{"no answer", upstream.Unavailable, 0, cache.Unavailable, true},
		{"no answer in time", upstream.Timeout, 0, cache.Unavailable, true},
		{"408", upstream.Timeout, 408, cache.Unavailable, true},
		{"a 200 whose body does not come", upstream.Timeout, 200, cache.Unavailable, true},
		{"a page with 200", upstream.InvalidResponse, 200, cache.Error, true},
		{"a page with 404", upstream.InvalidResponse, 404, cache.Error, true},
		{"413", upstream.InvalidResponse, 413, cache.Error, true},
		{"a page with 400", upstream.InvalidResponse, 400, cache.Unavailable, false},
		{"a 400 whose body does not come", upstream.Timeout, 400, cache.Unavailable, false},
		{"a page with 401", upstream.InvalidResponse, 401, cache.Refused, false},
		{"a page with 403", upstream.InvalidResponse, 403, cache.Refused, false},
		{"a 403 whose body does not come", upstream.Timeout, 403, cache.Refused, false},
		{"a fault of this service", upstream.Internal, 0, cache.Error, true},
	} {
		err := &upstream.Error{Kind: tt.kind, Status: tt.status}
		if got := Classify(err); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if restored, decodeErr := ErrorCodec.Decode(ErrorCodec.Encode(err)); decodeErr != nil || Classify(restored) != tt.want {
			t.Errorf("%s: another process sees %v, %v", tt.name, restored, decodeErr)
		}
		if got := mayHaveDeleted(err); got != tt.deleted {
			t.Errorf("%s: may have deleted: %t", tt.name, got)
		}
	}
	for _, err := range []error{context.DeadlineExceeded, errors.New("another")} {
		if got := Classify(err); got != cache.Error || !mayHaveDeleted(err) {
			t.Errorf("%v: %v", err, got)
		}
	}
}
