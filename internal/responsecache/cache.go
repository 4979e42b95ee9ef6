package responsecache

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"authentik-graphql/cache"
)

// Provenance is what a response was made of, and what the log says of it.
type Provenance struct {
	// FetchedAt and FreshUntil are those of the least fresh read.
	FetchedAt, FreshUntil time.Time
	// Dependencies are all of the reads.
	Dependencies []cache.Dependency
	// OperationType and OperationName name the operation.
	OperationType, OperationName string
}

// Request is the state of a request that the cache shares with the handler behind it.
type Request interface {
	// CallerDigest stands for the caller's credential. The zero digest gets no cached response.
	CallerDigest() cache.Caller
	// Provenance is asked for when the response's header is written. It is nil if the response must not
	// be replayed.
	Provenance() *Provenance
	// Replay records that a cached response answers the request, and states its age in the header.
	Replay(h http.Header, p *Provenance, now time.Time)
}

// Options of a [Cache].
type Options struct {
	// MaxBytes is about how much memory the responses may take.
	MaxBytes uint64
	// Validator is the cache that the dependencies belong to.
	Validator Validator
	// Request returns the state of the request with this context.
	Request func(context.Context) Request
	// Now is the clock.
	Now func() time.Time
}

// Validator reports whether a read would give the value of a dependency again, fresh; see [cache.Cache].
type Validator interface {
	Valid(d cache.Dependency, now time.Time) bool
}

// Cache holds responses. A nil Cache holds none. It is safe for concurrent use.
type Cache struct {
	responses *otter.Cache[uint64, *response] // by the hash of their requests
	seed      maphash.Seed
	validator Validator
	request   func(context.Context) Request
	now       func() time.Time
	replayed  atomic.Int64
	buffers   sync.Pool // of *[]byte, for request keys
}

// requestKey is a text of a caller and all that decides the response.
type requestKey []byte

// response is a response as it was sent. It is not changed once it is stored.
type response struct {
	key                                               requestKey
	contentType, contentEncoding, vary, contentLength []string
	body                                              []byte
	*Provenance
}

// What a response takes beside its key and body, about: its fields and the store's node, and each dependency.
const (
	responseWeight   = 800
	dependencyWeight = 120
)

func (r *response) weight() uint32 {
	return uint32(min(responseWeight+cap(r.body)+len(r.key)+len(r.Dependencies)*dependencyWeight, 1<<31-1)) //nolint:gosec // it fits
}

// New makes a cache that evicts what is least used.
func New(o Options) (*Cache, error) {
	c := &Cache{
		seed: maphash.MakeSeed(), validator: o.Validator, request: o.Request, now: o.Now,
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
	var err error
	c.responses, err = otter.New(&otter.Options[uint64, *response]{
		MaximumWeight: o.MaxBytes,
		Weigher:       func(_ uint64, r *response) uint32 { return r.weight() },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[uint64, *response]) time.Duration {
			return e.Value.FreshUntil.Sub(o.Now())
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("responsecache: make the store: %w", err)
	}
	return c, nil
}

// get returns the response to an equal request, nil if a read behind it might give something else now.
func (c *Cache) get(key requestKey, now time.Time) *response {
	r, ok := c.responses.GetIfPresent(c.hash(key))
	if !ok || !bytes.Equal(r.key, key) || !now.Before(r.FreshUntil) {
		return nil
	}
	for _, d := range r.Dependencies {
		if !c.validator.Valid(d, now) {
			return nil
		}
	}
	c.replayed.Add(1)
	return r
}

// hash is unpredictable to clients. Of two requests with one hash the later is cached.
func (c *Cache) hash(key requestKey) uint64 { return maphash.Bytes(c.seed, key) }

// put stores a response while it is fresh. It copies the key, whose memory is used again, and the body, whose
// memory may be larger than its length.
func (c *Cache) put(key requestKey, r *response) {
	if c.now().Before(r.FreshUntil) {
		r.key, r.body = bytes.Clone(key), bytes.Clone(r.body)
		r.contentLength = []string{strconv.Itoa(len(r.body))}
		c.responses.Set(c.hash(key), r)
	}
}

// Replayed is how many responses were replayed since the start.
func (c *Cache) Replayed() int64 {
	if c == nil {
		return 0
	}
	return c.replayed.Load()
}

// Size is how many responses there are, and about how many bytes they take.
func (c *Cache) Size() (entries int, bytes uint64) {
	if c == nil {
		return 0, 0
	}
	return c.responses.EstimatedSize(), c.responses.WeightedSize()
}

// Close ends the store's goroutines.
func (c *Cache) Close() {
	if c != nil {
		c.responses.StopAllGoroutines()
	}
}
