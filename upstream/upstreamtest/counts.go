package upstreamtest

import (
	"context"
	"maps"
	"net/http"
)

// Bounds of what is remembered, so that a demo left running does not grow.
const (
	maxCountedIDs   = 1 << 16
	maxCountedConns = 1 << 12
)

// Counts is what arrived at the API since the start or the last ResetCalls:
// requests, not answers, so a retrieve that failed counts as well. The health
// pages and paths that are not routed are left out.
type Counts struct {
	Total    int
	Retrieve int            // GET or HEAD of one row, of any resource
	List     int            // GET or HEAD of a list, of any resource
	Delete   int            // DELETE of one row, of any resource
	ByMethod map[string]int // unknown methods together as "other"
	// ByResource has the counts of each resource that was asked for.
	ByResource map[Resource]ResourceCounts
}

// ResourceCounts are the counts of one resource.
type ResourceCounts struct{ Total, Retrieve, List, Delete int }

// rowKey names a row of any resource.
type rowKey struct {
	resource Resource
	pk       int32
}

type tally struct {
	total      int
	byMethod   map[string]int
	byResource map[Resource]ResourceCounts
	retrieves  map[rowKey]int
}

func newTally() tally {
	return tally{byMethod: map[string]int{}, byResource: map[Resource]ResourceCounts{}, retrieves: map[rowKey]int{}}
}

// count enters one request.
func (t *tally) count(method string, at target) {
	t.total++
	if !knownMethod(method) {
		method = "other"
	}
	t.byMethod[method]++
	c := t.byResource[at.resource]
	c.Total++
	get := method == http.MethodGet || method == http.MethodHead
	switch {
	case get && at.place == atList:
		c.List++
	case get:
		c.Retrieve++
		key := rowKey{at.resource, at.pk}
		if _, known := t.retrieves[key]; known || len(t.retrieves) < maxCountedIDs {
			t.retrieves[key]++
		}
	case method == http.MethodDelete && at.place == atObject:
		c.Delete++
	}
	t.byResource[at.resource] = c
}

// Calls returns a copy of the counts.
func (a *Authentik) Calls() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &a.tally
	c := Counts{Total: t.total, ByMethod: maps.Clone(t.byMethod), ByResource: maps.Clone(t.byResource)}
	for _, r := range c.ByResource {
		c.Retrieve += r.Retrieve
		c.List += r.List
		c.Delete += r.Delete
	}
	return c
}

// Retrieves returns how often the code with that id was asked for, in any
// form of the id. Only the first 65,536 different ids are counted.
func (a *Authentik) Retrieves(pk int32) int { return a.ResourceRetrieves(AuthorizationCodes, pk) }

// ResourceRetrieves is Retrieves for a row of any resource.
func (a *Authentik) ResourceRetrieves(resource Resource, pk int32) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tally.retrieves[rowKey{resource, pk}]
}

// ResetCalls sets all counts to zero.
func (a *Authentik) ResetCalls() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tally = newTally()
}

// connCounter counts requests by connection, told apart by the address of the
// peer: a handler cannot see when a connection ends.
type connCounter map[string]int

// count enters one request and returns how many the connection had with it.
func (c connCounter) count(remoteAddr string) int {
	if _, known := c[remoteAddr]; !known && len(c) >= maxCountedConns {
		clear(c)
	}
	c[remoteAddr]++
	return c[remoteAddr]
}

type connRequestsKey struct{}

func withConnRequests(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, connRequestsKey{}, n)
}

// connRequests returns how many requests the connection had, this one included.
func connRequests(ctx context.Context) int {
	n, _ := ctx.Value(connRequestsKey{}).(int)
	return n
}
