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

// Counts tells what arrived at the API since the start or the last ResetCalls:
// requests, not answers, so a retrieve that failed counts as well. The health
// pages and paths that are not routed are left out.
type Counts struct {
	Total    int
	Retrieve int            // GET or HEAD of one code
	List     int            // GET or HEAD of the list
	Destroy  int            // DELETE of one code
	ByMethod map[string]int // unknown methods together as "other"
}

type tally struct {
	counts    Counts
	retrieves map[int32]int
}

func newTally() tally {
	return tally{counts: Counts{ByMethod: map[string]int{}}, retrieves: map[int32]int{}}
}

// count enters one request.
func (t *tally) count(method string, at target) {
	t.counts.Total++
	if !knownMethod(method) {
		method = "other"
	}
	t.counts.ByMethod[method]++
	get := method == http.MethodGet || method == http.MethodHead
	switch {
	case get && at.place == atList:
		t.counts.List++
	case get:
		t.counts.Retrieve++
		if _, known := t.retrieves[at.pk]; known || len(t.retrieves) < maxCountedIDs {
			t.retrieves[at.pk]++
		}
	case method == http.MethodDelete && at.place == atObject:
		t.counts.Destroy++
	}
}

// Calls returns a copy of the counts.
func (a *Authentik) Calls() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.tally.counts
	c.ByMethod = maps.Clone(c.ByMethod)
	return c
}

// Retrieves returns how often the code with that id was asked for, under any
// spelling of the id. Only the first 65,536 different ids are counted.
func (a *Authentik) Retrieves(pk int32) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tally.retrieves[pk]
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
