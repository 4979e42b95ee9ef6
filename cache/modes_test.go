package cache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// openStores returns a client for the whole of Redis and a function that opens the store of a process.
func openStores(t *testing.T, o cache.RedisOptions) (redis.UniversalClient, func(t *testing.T) *cache.Redis) {
	t.Helper()
	connect := func(t *testing.T) redis.UniversalClient {
		t.Helper()
		c, err := cache.NewRedisClient(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	all := connect(t)
	t.Cleanup(func() { _ = all.Close() })
	return all, func(t *testing.T) *cache.Redis {
		t.Helper()
		return newRedisOn(t, connect(t), keysOf(t, 1), slog.New(slog.DiscardHandler))
	}
}

func TestRedisClusterConformance(t *testing.T) {
	t.Parallel()
	all, open := openStores(t, cache.RedisOptions{URL: cachetest.StartCluster(t).URL(), Mode: cache.Cluster})
	conformance(t, all, open)
}

// TestRedisSentinelConformance runs the suites before and after a failover, and reads during it.
func TestRedisSentinelConformance(t *testing.T) {
	t.Parallel()
	sentinel := cachetest.StartSentinel(t)
	all, open := openStores(t, cache.RedisOptions{URL: sentinel.URL(), Mode: cache.Sentinel})
	t.Run("before", func(t *testing.T) { conformance(t, all, open) })
	if t.Failed() {
		return
	}

	store := open(t)
	c := newCache(time.Now, newMemory(t, time.Now), store)
	waitInSync(t, store)
	o := &origin{now: time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for id := int32(1000); ctx.Err() == nil; id++ { // the suites revoke some of the first
			if _, err := c.Get(context.Background(), cachetest.Key(t, "alice", id), o.returns("value")); err != nil {
				t.Errorf("during the failover: %v", err)
			}
		}
	}()
	sentinel.Failover((*cachetest.RedisServer).Kill)
	cancel()
	<-ended
	waitInSync(t, store) // at the new primary
	key := cachetest.Key(t, "alice", 1<<30)
	cachetest.Eventually(t, "the new primary stores a tombstone", func() bool { return store.Revoke(t.Context(), key.ResourceID(), time.Minute) == nil })

	t.Run("after", func(t *testing.T) { conformance(t, all, open) })
}

// TestRevocationsOverRedis: after a revocation by one process, reads by another fail, in every kind of Redis.
// The other process is notified or, while it is not in sync, asks Redis.
func TestRevocationsOverRedis(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]func(t *testing.T) cache.RedisOptions{
		"standalone": func(t *testing.T) cache.RedisOptions { return cache.RedisOptions{URL: cachetest.StartRedis(t).URL()} },
		"cluster": func(t *testing.T) cache.RedisOptions {
			return cache.RedisOptions{URL: cachetest.StartCluster(t).URL(), Mode: cache.Cluster}
		},
		"sentinel": func(t *testing.T) cache.RedisOptions {
			return cache.RedisOptions{URL: cachetest.StartSentinel(t).URL(), Mode: cache.Sentinel}
		},
	} {
		t.Run(name, func(t *testing.T) {
			all, open := openStores(t, options(t))
			var caches []*cache.Cache[string]
			var stores []*cache.Redis
			for range 2 {
				store := open(t)
				caches = append(caches, newCacheOf(cache.Policy{TTL: time.Hour}, time.Now, newMemory(t, time.Now), store))
				stores = append(stores, store)
				waitInSync(t, store)
			}
			o := &origin{now: time.Now}
			for id := range int32(50) {
				for _, c := range caches {
					if _, err := get(t, c, cachetest.Key(t, "alice", id+1), o.returns("value")); err != nil {
						t.Fatal(err)
					}
				}
			}
			dead := func(id int32) {
				t.Helper()
				key := cachetest.Key(t, "alice", id)
				if err := caches[0].Revoke(t.Context(), key.ResourceID()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				cachetest.Eventually(t, "the other process is notified", func() bool {
					_, err := get(t, caches[1], key, o.returns("value"))
					return err != nil
				})
				wantError(t, caches[1], key, never(t), cache.ErrRevoked)
				t.Logf("resource %d: the other process was notified after %s", id, time.Since(began))
			}
			for id := range int32(20) {
				dead(id + 1)
			}
			if received := caches[1].Stats().RevocationsReceived; received < 19 {
				t.Errorf("notified of %d revocations, want almost all of 20", received)
			}
			// The connection of the subscription is killed: the next read asks Redis.
			kill := func(ctx context.Context, node *redis.Client) error {
				return node.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
			}
			masters(t, all, kill)
			cachetest.Eventually(t, "the process is not in sync", func() bool { return !stores[1].InSync(stores[1].Subscription()) })
			key := cachetest.Key(t, "alice", 30)
			if err := caches[0].Revoke(t.Context(), key.ResourceID()); err != nil {
				t.Fatal(err)
			}
			wantError(t, caches[1], key, never(t), cache.ErrRevoked)
			unasked := cachetest.Key(t, "alice", 31)
			if err := caches[0].Revoke(t.Context(), unasked.ResourceID()); err != nil {
				t.Fatal(err)
			}
			waitInSync(t, stores[1])
			wantError(t, caches[1], unasked, never(t), cache.ErrRevoked) // what was confirmed before is not trusted
			mustGet(t, caches[1], cachetest.Key(t, "alice", 40), never(t), "value", cache.FromMemory)
		})
	}
}

// TestSuspendedRedis: a process is not in sync with a Redis that does not reply to pings, until it does
// again.
func TestSuspendedRedis(t *testing.T) {
	server := cachetest.StartRedis(t)
	store := newRedis(t, server.URL(), keysOf(t, 1))
	c := newCache(time.Now, newMemory(t, time.Now), store)
	defer func() { _ = c.Close(context.Background()) }()
	waitInSync(t, store)
	server.Stop()
	began := time.Now()
	cachetest.Eventually(t, "the process is not in sync", func() bool { return !store.InSync(store.Subscription()) })
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("that took %s", took)
	}
	server.Cont()
	waitInSync(t, store)
}

// splitting starts a proxy that holds back the second part of each message until the subscriber has sent a
// ping.
func splitting(t *testing.T, server *cachetest.RedisServer) (url string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	pings, ended := make(chan struct{}), make(chan struct{})
	pipe := func(from, to net.Conn, forward func([]byte)) {
		defer func() { _, _ = from.Close(), to.Close() }()
		for b := make([]byte, 64<<10); ; {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			forward(b[:n])
		}
	}
	conns.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", server.Addr())
			if err != nil {
				_ = in.Close()
				continue
			}
			conns.Go(func() {
				pipe(in, out, func(b []byte) {
					_, _ = out.Write(b)
					if bytes.Contains(bytes.ToLower(b), []byte("ping\r\n")) {
						select {
						case pings <- struct{}{}:
						default: // no message is held back
						}
					}
				})
			})
			conns.Go(func() {
				pipe(out, in, func(b []byte) {
					if i := bytes.Index(b, []byte("message\r\n")); i >= 0 {
						_, _ = in.Write(b[:i+9])
						select {
						case <-pings:
						case <-ended:
						}
						b = b[i+9:]
					}
					_, _ = in.Write(b)
				})
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		close(ended)
		conns.Wait()
	})
	return strings.Replace(server.URL(), server.Addr(), ln.Addr().String(), 1)
}

// TestMessageInTwoParts: a message is received even if it arrives in two parts, with a ping between them.
func TestMessageInTwoParts(t *testing.T) {
	server := cachetest.StartRedis(t)
	url := splitting(t, server)
	one, two := newRedis(t, server.URL(), keysOf(t, 1)), newRedis(t, url, keysOf(t, 1))
	a, b := newCache(time.Now, empty{}, one), newCacheOf(cache.Policy{TTL: time.Hour}, time.Now, newMemory(t, time.Now), two)
	waitInSync(t, two)
	key := cachetest.Key(t, "alice", 1)
	mustGet(t, b, key, (&origin{now: time.Now}).returns("value"), "value", cache.FromOrigin)
	if err := a.Revoke(t.Context(), key.ResourceID()); err != nil {
		t.Fatal(err)
	}
	cachetest.Eventually(t, "the message is received", func() bool {
		_, err := b.Get(context.Background(), key, never(t))
		return errors.Is(err, cache.ErrRevoked)
	})
}

// TestPendingRevocation: a tombstone that could not be written is written when Redis is back.
func TestPendingRevocation(t *testing.T) {
	server := cachetest.StartRedis(t)
	store := newRedis(t, server.URL(), keysOf(t, 1))
	c := newCache(time.Now, newMemory(t, time.Now), store)
	waitInSync(t, store)
	server.Kill()
	key := cachetest.Key(t, "alice", 1)
	if err := c.Revoke(t.Context(), key.ResourceID()); err == nil {
		t.Error("Redis is not down")
	}
	server.Restart()
	other := newRedis(t, server.URL(), keysOf(t, 1))
	cachetest.Eventually(t, "the tombstone is there", func() bool {
		v, err := other.Read(t.Context(), key)
		return err == nil && v.Revoked
	})
}

// TestForeignNames: foreign values under our names delay nothing for longer than a lease lasts.
func TestForeignNames(t *testing.T) {
	s := newStored(t)
	key := cachetest.Key(t, "alice", 1)
	name, _ := s.put(t, key, "value")
	slot, digest, _ := cutName(name)
	for _, tt := range []struct {
		name string
		put  func(p redis.Pipeliner)
		want cache.Stats
	}{
		{"a forged tombstone", func(p redis.Pipeliner) { p.Set(t.Context(), slot+"x", "dead", 0) }, cache.Stats{Loads: 1, Untrusted: 1}},
		{"a tombstone that is a list", func(p redis.Pipeliner) { p.RPush(t.Context(), slot+"x", "dead") }, cache.Stats{Loads: 1, Untrusted: 1}},
		{"a lease without expiry", func(p redis.Pipeliner) { p.Set(t.Context(), slot+"l"+digest, "mine", 0) }, cache.Stats{Loads: 1}},
		{"a lease of an hour", func(p redis.Pipeliner) { p.Set(t.Context(), slot+"l"+digest, "mine", time.Hour) }, cache.Stats{Loads: 1}},
		{"a lease that is a list", func(p redis.Pipeliner) { p.RPush(t.Context(), slot+"l"+digest, "mine") }, cache.Stats{Loads: 1}},
		{"a forged failure", func(p redis.Pipeliner) { p.Set(t.Context(), slot+"e"+digest, "down", 0) }, cache.Stats{Loads: 1, Untrusted: 1}},
		{"the value in place of the failure", func(p redis.Pipeliner) { p.Copy(t.Context(), name, slot+"e"+digest, 0, true); p.Del(t.Context(), name) }, cache.Stats{Loads: 1, Untrusted: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flush(t, s.client)
			s.put(t, key, "value")
			if _, err := s.client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
				tt.put(p)
				p.Del(t.Context(), name)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			c := s.cache(t)
			mustGet(t, c, key, s.origin.returns("fresh"), "fresh", cache.FromOrigin)
			wantStats(t, c, tt.want)
			mustGet(t, s.cache(t), key, never(t), "fresh", cache.FromRedis)
		})
	}
}

// cutName returns the parts of a name before and after its kind.
func cutName(name string) (slot, digest string, ok bool) {
	for i := range name {
		if name[i] == '}' && i+2 <= len(name) {
			return name[:i+1], name[i+2:], true
		}
	}
	return "", "", false
}

// aclRules are the rights of an ACL user that docs/settings.md asks for.
const aclRules = "~authentik-graphql:* &authentik-graphql:* -@all +mget +get +set +del +pttl +pexpire +eval +evalsha +publish +subscribe +ping"

// TestLeastRights runs the suites as a user with no other rights.
func TestLeastRights(t *testing.T) {
	server := cachetest.StartRedis(t)
	client := newClient(t, server)
	rules := []any{"ACL", "SETUSER", "app", "on", ">s3cr3t"}
	for rule := range strings.FieldsSeq(aclRules) {
		rules = append(rules, rule)
	}
	if err := client.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(server.URL(), "redis://", "redis://app:s3cr3t@", 1)
	conformance(t, client, func(t *testing.T) *cache.Redis { return newRedis(t, url, keysOf(t, 1)) })
	page, err := os.ReadFile("../docs/settings.md")
	if err != nil || !strings.Contains(string(page), aclRules) {
		t.Errorf("docs/settings.md does not name the rights %q, error %v", aclRules, err)
	}
}
