package e2e

import (
	"context"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/upstream/upstreamtest"
)

// TestRevocationAndARestoredRedis: a Redis that is what it was before the revocation, as after a
// failover or from a backup, does not bring the row back to processes that know of it.
func TestRevocationAndARestoredRedis(t *testing.T) {
	p := startPair(t)
	p.listen(t)
	pk := davesCode(p.up)
	for _, a := range []*instance{p.here, p.another} {
		wantShown(t, a, upstreamtest.TokenRoot, pk)
	}
	c, ctx := p.client(t), context.Background()
	names, err := c.Keys(ctx, "*").Result()
	if err != nil || len(names) == 0 {
		t.Fatalf("%d names, error %v", len(names), err)
	}
	before := map[string]string{}
	for _, name := range names {
		before[name] = c.Dump(ctx, name).Val()
	}
	mustRevoke(t, p.here, pk)
	cachetest.Eventually(t, "the other process knows of it", func() bool {
		return readCode(t, p.another, upstreamtest.TokenRoot, pk).Codes() == "NOT_FOUND"
	})
	if err := c.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	for name, value := range before {
		if err := c.Restore(ctx, name, time.Hour, value).Err(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := c.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*instance{p.here, p.another} {
		wantGone(t, a, upstreamtest.TokenRoot, pk)
	}
}
