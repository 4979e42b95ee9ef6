package graph

import (
	"net/http"
	"time"

	"authentik-graphql/internal/grants"
	"authentik-graphql/internal/responsecache"
)

var _ responsecache.Request = (*Request)(nil)

// CallerDigest implements [responsecache.Request].
func (r *Request) CallerDigest() grants.Digest { return r.Digest }

// allowReplay records whether the operation allows its response to be replayed.
func (r *Request) allowReplay(allowed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replayable = allowed
}

// Provenance implements [responsecache.Request]. It is nil if a read gave something stale or nothing. It is
// also nil if a value was loaded for this request, which may never be repeated: responses that nothing
// asks for again would evict those in use.
func (r *Request) Provenance() *responsecache.Provenance {
	r.mu.Lock()
	defer r.mu.Unlock()
	least := leastFresh(r.reads)
	if !r.replayable || least == nil {
		return nil
	}
	p := &responsecache.Provenance{
		FetchedAt: least.freshness.FetchedAt, FreshUntil: least.freshness.FreshUntil,
		Dependencies:  make([]grants.Dependency, 0, len(r.reads)),
		OperationType: r.facts.OperationType, OperationName: r.facts.OperationName,
	}
	for _, read := range r.reads {
		if !read.shown() || read.freshness.Stale != grants.NotStale || !read.freshness.Cached {
			return nil
		}
		p.Dependencies = append(p.Dependencies, read.freshness.Dependency)
	}
	return p
}

// Replay implements [responsecache.Request].
func (r *Request) Replay(h http.Header, p *responsecache.Provenance, now time.Time) {
	read := grants.Freshness{FetchedAt: p.FetchedAt, FreshUntil: p.FreshUntil, Cached: true}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.OperationType, r.facts.OperationName = p.OperationType, p.OperationName
	r.facts.CacheStatus, r.facts.Replayed = stateAge(h, read, now), true
	h["Cache-Control"] = []string{maxAge(read, now)}
}
