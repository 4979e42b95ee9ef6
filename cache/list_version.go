package cache

import (
	"context"
	"crypto/rand"
	"sync"
)

// listVersions are the present versions of each resource's lists, as far as this process knows. The key of a
// list contains its version, so that no list from before a revocation is found after it. A notification does
// not say which resource it is about and therefore discards all versions; asking Redis again costs little.
type listVersions struct {
	redis Shared // nil without Redis
	stats *counters

	mu sync.Mutex
	// revocations counts the revocations so far. A version that was asked for before the last one is not
	// kept.
	revocations int
	known       map[string]listVersion
}

type listVersion struct {
	name string
	// subscription is the one under which Redis confirmed the version; 0 if it did not.
	subscription int64
}

// current returns the version of a resource's lists. While Redis cannot be asked, it is one of this process's
// own.
func (l *listVersions) current(ctx context.Context, resource string) string {
	for {
		known, revocations := l.get(resource)
		if known.name != "" && l.inSync(known) {
			return known.name
		}
		version := listVersion{name: rand.Text()}
		if l.redis != nil {
			subscription := l.redis.Subscription()
			name, err := l.redis.ListVersion(ctx, resource)
			if err == nil {
				version = listVersion{name, subscription}
			} else {
				l.stats.redisErrors.Add(1)
				if known.name != "" {
					return known.name
				}
			}
		}
		if l.set(resource, revocations, version) {
			return version.name
		}
	}
}

// isCurrent reports whether a name is known to be the present version, without asking Redis.
func (l *listVersions) isCurrent(resource, name string) bool {
	known, _ := l.get(resource)
	return known.name == name && l.inSync(known)
}

func (l *listVersions) inSync(v listVersion) bool {
	return l.redis == nil || l.redis.InSync(v.subscription)
}

func (l *listVersions) get(resource string) (known listVersion, revocations int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[resource], l.revocations
}

// set keeps a version, unless there was a revocation since get.
func (l *listVersions) set(resource string, revocations int, v listVersion) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revocations != revocations {
		return false
	}
	if l.known == nil {
		l.known = map[string]listVersion{}
	}
	l.known[resource] = v
	return true
}

// clear discards all versions, after a revocation.
func (l *listVersions) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revocations++
	clear(l.known)
}
