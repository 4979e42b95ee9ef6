package cache

import (
	"context"
	"crypto/rand"
	"sync"
)

// generations are the names of the present state of each resource's lists, as far as this process
// knows. A list is cached under its generation: once a row is revoked another one begins, and no
// list of before is found again. What is known of all of them ends with every revocation that is
// heard of, because that does not tell the resource, and asking Redis again costs little.
type generations struct {
	mu sync.Mutex
	// ended counts the revocations: what was asked before the last one is not kept.
	ended int
	known map[string]generation
}

type generation struct {
	name string
	// epoch is the subscription under which Redis said so; 0 if it did not.
	epoch int64
}

func (g *generations) get(resource string) (known generation, ended int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known[resource], g.ended
}

// set keeps a name, unless there was a revocation since get.
func (g *generations) set(resource string, ended int, known generation) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended != ended {
		return false
	}
	if g.known == nil {
		g.known = map[string]generation{}
	}
	g.known[resource] = known
	return true
}

func (g *generations) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended++
	clear(g.known)
}

// Generation names the present state of the lists of a resource's rows. It is to be part of the
// variant of a list's [Key]. While Redis cannot be asked it is this process's own.
func (c *Cache[V]) Generation(ctx context.Context, resource string) string {
	for {
		known, ended := c.generations.get(resource)
		if known.name != "" && c.hears(known.epoch) {
			return known.name
		}
		now := generation{name: rand.Text()}
		if c.second != nil {
			epoch := c.second.Epoch()
			name, err := c.second.Generation(ctx, resource)
			switch {
			case err == nil:
				now = generation{name, epoch}
			case known.name != "":
				c.stats.secondErrors.Add(1)
				return known.name
			default:
				c.stats.secondErrors.Add(1)
			}
		}
		if c.generations.set(resource, ended, now) {
			return now.name
		}
	}
}
