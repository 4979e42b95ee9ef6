package cache

import (
	"context"
	"crypto/rand"
	"sync"
)

// versions are the names of the present state of each resource's lists, as far as this process
// knows. A list is cached under its version: once a row is revoked another one begins, and no
// list of before is found again. What is known of all of them ends with every revocation that is
// heard of, because that does not tell the resource, and asking Redis again costs little.
type listVersions struct {
	mu sync.Mutex
	// ended counts the revocations: what was asked before the last one is not kept.
	revocations int
	known       map[string]listVersion
}

type listVersion struct {
	name string
	// subscription is the subscription under which Redis said so; 0 if it did not.
	subscription int64
}

func (g *listVersions) get(resource string) (known listVersion, ended int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known[resource], g.revocations
}

// set keeps a name, unless there was a revocation since get.
func (g *listVersions) set(resource string, ended int, known listVersion) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.revocations != ended {
		return false
	}
	if g.known == nil {
		g.known = map[string]listVersion{}
	}
	g.known[resource] = known
	return true
}

func (g *listVersions) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revocations++
	clear(g.known)
}

// ListVersion names the present state of the lists of a resource's rows. It is to be part of the
// variant of a list's [Key]. While Redis cannot be asked it is this process's own.
func (c *Cache[V]) ListVersion(ctx context.Context, resource string) string {
	for {
		known, ended := c.listVersions.get(resource)
		if known.name != "" && c.inSync(known.subscription) {
			return known.name
		}
		now := listVersion{name: rand.Text()}
		if c.redis != nil {
			subscription := c.redis.Subscription()
			name, err := c.redis.ListVersion(ctx, resource)
			switch {
			case err == nil:
				now = listVersion{name, subscription}
			case known.name != "":
				c.stats.redisErrors.Add(1)
				return known.name
			default:
				c.stats.redisErrors.Add(1)
			}
		}
		if c.listVersions.set(resource, ended, now) {
			return now.name
		}
	}
}
