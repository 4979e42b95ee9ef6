package cache

import (
	"context"
	"crypto/rand"
	"sync"
)

// listVersions are the present versions of each resource's lists, as far as this process knows. The key of a
// list contains its version, so that no list from before a revocation is found after it. Every revocation
// invalidates all versions: a notification does not say which resource it is about, and asking Redis again
// costs little.
type listVersions struct {
	redis      Shared // nil without Redis
	tombstones *tombstones
	stats      *counters

	mu    sync.Mutex
	known map[string]listVersion
}

type listVersion struct {
	name string
	// revocations counts those that the process knew of before it asked for the version.
	revocations int64
	// subscription is the one under which Redis confirmed the version; 0 if it did not.
	subscription int64
}

func newListVersions(redis Shared, t *tombstones, stats *counters) *listVersions {
	return &listVersions{redis: redis, tombstones: t, stats: stats, known: map[string]listVersion{}}
}

// current returns the version of a resource's lists. While Redis cannot be asked, it is one of this process's
// own.
func (l *listVersions) current(ctx context.Context, resource string) string {
	known := l.get(resource)
	if l.valid(known) {
		return known.name
	}
	version := listVersion{name: rand.Text(), revocations: l.tombstones.count()}
	if l.redis != nil {
		version.subscription = l.redis.Subscription()
		name, err := l.redis.ListVersion(ctx, resource)
		if err == nil {
			version.name = name
		} else {
			l.stats.redisErrors.Add(1)
			if version.subscription = 0; known.name != "" && known.revocations == version.revocations {
				return known.name
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if first := l.known[resource]; l.valid(first) { // two versions made at once would part those who share a load
		return first.name
	}
	l.known[resource] = version
	return version.name
}

// isCurrent reports whether a name is known to be the present version, without asking Redis.
func (l *listVersions) isCurrent(resource, name string) bool {
	known := l.get(resource)
	return known.name == name && l.valid(known)
}

func (l *listVersions) valid(v listVersion) bool {
	return v.name != "" && v.revocations == l.tombstones.count() && (l.redis == nil || l.redis.InSync(v.subscription))
}

func (l *listVersions) get(resource string) listVersion {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[resource]
}
