package cache

import (
	"context"
	"errors"
	"strings"
)

// errNoList says that a list lacks what would keep it apart.
var errNoList = errors.New("cache: a list needs a caller and a resource")

// NewListKey makes the key of a list of a resource's rows. variant names what is asked for and what
// shapes the rows, version is the [Cache.ListVersion].
func NewListKey(caller Caller, resource, variant, version string) (Key, error) {
	if resource == "" || caller == (Caller{}) {
		return Key{}, errNoList
	}
	return Key{caller: caller, id: ListsOf(resource), variant: variant + "|" + version}, nil
}

// hasListVersion tells whether the key is of a list of that version.
func (k Key) hasListVersion(version string) bool {
	variant, ok := strings.CutSuffix(k.variant, version)
	return ok && version != "" && strings.HasSuffix(variant, "|")
}

// Prime keeps an entry that the origin gave beside what was asked for, such as a row of a list, in
// this process. asked is [Cache.Subscription] from before the origin was asked. It never takes the place
// of something that the origin said later, nor of a load that runs.
func (c *Cache[V]) Prime(ctx context.Context, key Key, e Entry[V], asked int64) {
	if key == (Key{}) || c.policy.TTL <= 0 || !fresh(c.policy, e, c.now()) {
		return
	}
	c.flights.unless(key, func() {
		if here, found := c.memory.look(ctx, key); c.isRevoked(key) || found && !here.FetchedAt.Before(e.FetchedAt) {
			return
		}
		e.subscription = asked
		c.store(ctx, key, &e)
	})
}

// Subscription is for [Cache.Prime].
func (c *Cache[V]) Subscription() int64 {
	if c.redis == nil {
		return 0
	}
	return c.redis.Subscription()
}

// Peek returns what is cached for a key and may be given out, without asking the origin.
func (c *Cache[V]) Peek(ctx context.Context, key Key) (r Result[V], ok bool) {
	if key == (Key{}) || c.policy.TTL <= 0 || c.isRevoked(key) {
		return r, false
	}
	k := c.lookupMemory(ctx, key)
	if c.redis != nil && !(k.current && k.found && fresh(c.policy, k.entry, c.now())) {
		subscription := c.redis.Subscription()
		view, err := c.redis.Read(ctx, key)
		if err != nil || view.Revoked {
			return r, false
		}
		c.merge(ctx, key, &k, view, subscription)
	}
	if !k.found || k.entry.Outcome != Value || !fresh(c.policy, k.entry, c.now()) {
		return r, false
	}
	return c.result(k.entry, k.source), true
}

// Drop forgets the caller's own entry: it may be wrong, and only the origin can tell.
func (c *Cache[V]) Drop(ctx context.Context, key Key) error {
	err := c.memory.store.Delete(ctx, key)
	if c.redis != nil {
		err = errors.Join(err, c.redis.Delete(ctx, key))
	}
	return err
}
