package responsecache

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"math"
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
	// Valid reports whether a read would give the value of a dependency again, fresh; see [cache.Cache.Valid].
	Valid func(d cache.Dependency, now time.Time) bool
	// Request returns the state of the request with this context.
	Request func(context.Context) Request
	// Now is the clock.
	Now func() time.Time
}

// Cache holds responses. It is safe for concurrent use.
type Cache struct {
	Options
	// responses are found by a hash of their requests. Clients do not know its seed. Of two requests with
	// one hash, the later has its response stored.
	responses *otter.Cache[uint64, *response]
	seed      maphash.Seed
	replayed  atomic.Int64
	buffers   sync.Pool // of *[]byte, for requests that are looked up
}

// response is a response as it was sent. It is not changed once it is stored.
type response struct {
	request                                           []byte // made by readRequest
	contentType, contentEncoding, vary, contentLength []string
	body                                              []byte
	*Provenance
}

// What a response takes beside its request and body, about: its fields and the store's node, and each dependency.
const (
	responseWeight   = 800
	dependencyWeight = 120
)

func weight(_ uint64, r *response) uint32 {
	return uint32(min(responseWeight+len(r.request)+cap(r.body)+len(r.Dependencies)*dependencyWeight, math.MaxInt32)) //nolint:gosec // it fits
}

// New makes a cache that evicts what is least used.
func New(o Options) (*Cache, error) {
	responses, err := otter.New(&otter.Options[uint64, *response]{
		MaximumWeight: o.MaxBytes,
		Weigher:       weight,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[uint64, *response]) time.Duration {
			return e.Value.FreshUntil.Sub(o.Now())
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("responsecache: make the store: %w", err)
	}
	return &Cache{
		Options: o, responses: responses, seed: maphash.MakeSeed(),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}, nil
}

// get returns the response to an equal request, nil if a read behind it might give something else now.
func (c *Cache) get(request []byte, now time.Time) *response {
	r, ok := c.responses.GetIfPresent(maphash.Bytes(c.seed, request))
	if !ok || !bytes.Equal(r.request, request) || !now.Before(r.FreshUntil) {
		return nil
	}
	for _, d := range r.Dependencies {
		if !c.Valid(d, now) {
			return nil
		}
	}
	c.replayed.Add(1)
	return r
}

// put stores a response while it is fresh. It copies the request, and the body, whose memory may be larger
// than its length.
func (c *Cache) put(request []byte, r *response) {
	if c.Now().Before(r.FreshUntil) {
		r.request, r.body = bytes.Clone(request), bytes.Clone(r.body)
		r.contentLength = []string{strconv.Itoa(len(r.body))}
		c.responses.Set(maphash.Bytes(c.seed, request), r)
	}
}

// Replayed is how many responses were replayed since the start.
func (c *Cache) Replayed() int64 { return c.replayed.Load() }

// Size is how many responses there are, and about how many bytes they take.
func (c *Cache) Size() (entries int, bytes uint64) {
	return c.responses.EstimatedSize(), c.responses.WeightedSize()
}

// Close ends the store's goroutines.
func (c *Cache) Close() { c.responses.StopAllGoroutines() }
