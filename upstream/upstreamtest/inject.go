package upstreamtest

import (
	"fmt"
	"slices"
	"time"
)

// What a fault can be set for, besides the id of a row.
const (
	AllRequests    int32 = 0  // every request of the API, or of one resource; lists included
	HealthRequests int32 = -1 // the two health pages
	listRequests   int32 = -2
)

// SetFault makes all requests for the code with that id fail, whether or not the
// row exists. AllRequests means those of all resources. The narrower fault wins:
// that of an id or a list over that of its resource, and this over that of all.
// The zero Fault ends it.
func (a *Authentik) SetFault(pk int32, f Fault) {
	if pk <= 0 {
		a.setFault(rowKey{pk: pk}, f)
		return
	}
	a.SetResourceFault(AuthorizationCodes, pk, f)
}

// SetResourceFault is SetFault for a row of any resource, a provider included;
// AllRequests means all requests of that resource, its list included.
func (a *Authentik) SetResourceFault(resource Resource, pk int32, f Fault) {
	a.setFault(rowKey{resource, pk}, f)
}

// SetListFault makes requests for the list of a resource fail.
func (a *Authentik) SetListFault(resource Resource, f Fault) {
	a.setFault(rowKey{resource, listRequests}, f)
}

func (a *Authentik) setFault(key rowKey, f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if key.resource != "" && !slices.Contains(served(), key.resource) {
		panic(fmt.Sprintf("upstreamtest: unknown resource %q", key.resource))
	}
	if f.Serve == nil {
		delete(a.faults, key)
		return
	}
	a.faults[key] = f
}

// fault returns the fault in force for a target, the zero Fault if there is
// none; the lock must be held.
func (a *Authentik) fault(t target) Fault {
	// What is set for the requests of all resources names none.
	keys := []rowKey{{t.resource, t.pk}, {t.resource, AllRequests}, {pk: AllRequests}}
	switch t.place {
	case atHealth:
		keys = []rowKey{{pk: HealthRequests}}
	case atList:
		keys[0].pk = listRequests
	}
	for _, key := range keys {
		if f, ok := a.faults[key]; ok {
			return f
		}
	}
	return Fault{}
}

// ClearFaults ends all faults.
func (a *Authentik) ClearFaults() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.faults)
}

// SetLatency makes every answer of the API wait that long before it begins.
func (a *Authentik) SetLatency(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latency = d
}
