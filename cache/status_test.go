package cache_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// TestRedisStatus checks the status in the states of Redis.
func TestRedisStatus(t *testing.T) {
	server := cachetest.StartRedis(t)
	client := newClient(t, server)
	store, key := newRedis(t, server.URL(), keysOf(t, 1)), cachetest.Key(t, "alice", 1)
	want := cache.RedisStatus{Breaker: "closed", Writable: true}
	check := func(name string) {
		t.Helper()
		if got := store.Status(); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	check("at the start")

	store.Listen(func(cache.ResourceHash) {})
	waitInSync(t, store)
	want.InSync = true
	check("in sync")

	for _, token := range []string{"one", "other"} { // the second does not acquire it
		if _, err := store.Acquire(t.Context(), key, token, false); err != nil {
			t.Fatal(err)
		}
	}
	want.Leases = 1
	check("a lease")

	texts, hash := cache.NewTexts(store), sha256.Sum256(nil)
	wantText(t, texts, hash, "")
	texts.Keep(t.Context(), hash, "text")
	for _, name := range redisKeys(t, client) {
		if err := client.Set(t.Context(), name, "foreign", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	wantText(t, texts, hash, "")
	want.UntrustedTexts = 1
	check("a foreign text")

	set := func(limit string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("1")
	if store.Revoke(t.Context(), key.ResourceID(), time.Minute) == nil {
		t.Fatal("Redis is not full")
	}
	want.Writable, want.PendingRevocations = false, 1
	check("full")

	server.Kill()
	for store.Check(t.Context()) != nil && store.Status().Breaker == "closed" {
	}
	want.Breaker, want.InSync = "open", false
	cachetest.Eventually(t, "the process knows that Redis is gone", func() bool { return store.Status() == want })

	server.Restart() // empty and without a limit
	cachetest.Eventually(t, "Redis is used again", func() bool { return store.Check(t.Context()) == nil })
	cachetest.Eventually(t, "the revocation is written", func() bool { return store.Status().PendingRevocations == 0 })
	waitInSync(t, store)
	other := cachetest.Key(t, "alice", 2)
	if v, err := store.Acquire(t.Context(), other, "one", false); err != nil || !v.Acquired {
		t.Fatal(v, err)
	}
	want = cache.RedisStatus{Breaker: "closed", InSync: true, Writable: true, Leases: 2, UntrustedTexts: 1}
	check("back")
}
