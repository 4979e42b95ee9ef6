package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

// patience is far more than the bound of an operation, for busy machines, and far less than the seconds that
// go-redis would wait by default.
const patience = time.Second

// within fails the test if run takes longer than patience.
func within(t *testing.T, run func()) {
	t.Helper()
	began := time.Now()
	run()
	if took := time.Since(began); took > patience {
		t.Errorf("took %s, want less than %s", took, patience)
	}
}

func wantStats(t *testing.T, c *cache.Cache[string], want cache.Stats) {
	t.Helper()
	if got := c.Stats(); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestRedisCannotBeUsed(t *testing.T) {
	t.Parallel()
	// protected returns the address of a server with a password, with other credentials.
	protected := func(t *testing.T, user *url.Userinfo) (string, func()) {
		t.Helper()
		s := cachetest.StartRedis(t, "--requirepass", "hunter2")
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.User = user
		return u.String(), func() {}
	}
	for _, tt := range []struct {
		name string
		// open returns the address, and what to do once there are connections to it.
		open func(t *testing.T) (string, func())
	}{
		{"never there", func(t *testing.T) (string, func()) {
			s := cachetest.StartRedis(t)
			s.Kill()
			return s.URL(), func() {}
		}},
		{"killed", func(t *testing.T) (string, func()) {
			s := cachetest.StartRedis(t)
			return s.URL(), s.Kill
		}},
		{"never replies", func(t *testing.T) (string, func()) {
			s := cachetest.StartRedis(t)
			s.Stop()
			return s.URL(), func() {}
		}},
		{"stops replying", func(t *testing.T) (string, func()) {
			s := cachetest.StartRedis(t)
			return s.URL(), s.Stop
		}},
		{"wrong password", func(t *testing.T) (string, func()) {
			return protected(t, url.UserPassword("", "hunter3"))
		}},
		{"no password", func(t *testing.T) (string, func()) {
			return protected(t, nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, spoil := tt.open(t)
			client, err := cache.NewRedisClient(cache.RedisOptions{URL: address})
			if err != nil {
				t.Fatal(err)
			}
			log := new(lines)
			store := newRedisOn(t, client, keysOf(t, 1), log.logger())
			_, _ = store.Read(t.Context(), cachetest.Key(t, "alice", 99)) // opens a connection if possible
			spoil()

			clock := cachetest.NewClock()
			c := newCache(clock.Now, newMemory(t, clock.Now), store)
			o, key := &origin{now: clock.Now}, cachetest.Key(t, "alice", 1)
			within(t, func() { mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin) })
			within(t, func() { mustGet(t, c, key, never(t), "value", cache.FromMemory) })

			const more = 64 // more than the pool has connections
			within(t, func() {
				var wg sync.WaitGroup
				for id := range int32(more) {
					key := cachetest.Key(t, "alice", id+2)
					wg.Go(func() {
						if r, err := c.Get(context.Background(), key, o.returns("value")); err != nil || r.Source != cache.FromOrigin {
							t.Errorf("got %q from %d, error %v", r.Value, r.Source, err)
						}
					})
				}
				wg.Wait()
			})
			if got := c.Stats(); got.Loads != 1+more || got.Memory.Hits != 1 || got.RedisErrors < 2+more {
				t.Errorf("counts: %+v", got)
			}

			if n := strings.Count(log.String(), "Redis cannot be used"); n != 1 {
				t.Errorf("%d messages say that Redis cannot be used, want 1:\n%s", n, log)
			}
			if log.count() > 2 { // one is about the subscription
				t.Errorf("want no more messages:\n%s", log)
			}
			if strings.Contains(log.String(), "hunter") {
				t.Errorf("the log shows the password:\n%s", log)
			}
			within(t, func() { // and now no read waits for Redis
				for range 100 {
					mustGet(t, c, key, never(t), "value", cache.FromMemory)
				}
			})
		})
	}
}

func TestRedisIsUsedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		spoil, heal func(*cachetest.RedisServer)
	}{
		{"after a restart", (*cachetest.RedisServer).Kill, (*cachetest.RedisServer).Restart},
		{"after a suspension", (*cachetest.RedisServer).Stop, (*cachetest.RedisServer).Cont},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, clock := cachetest.StartRedis(t), cachetest.NewClock()
			c := newCache(clock.Now, empty{}, newRedis(t, server.URL(), keysOf(t, 1)))
			o, key := &origin{now: clock.Now}, cachetest.Key(t, "alice", 1)
			mustGet(t, c, key, o.returns("value"), "value", cache.FromOrigin)
			mustGet(t, c, key, never(t), "value", cache.FromRedis)

			tt.spoil(server)
			var wg sync.WaitGroup
			for id := range int32(40) { // go-redis stops dialing after as many failures as its pool has connections
				key := cachetest.Key(t, "alice", id+2)
				wg.Go(func() {
					if _, err := c.Get(context.Background(), key, o.returns("value")); err != nil {
						t.Errorf("get: %v", err)
					}
				})
			}
			wg.Wait()
			if got := c.Stats().RedisErrors; got < 40 {
				t.Errorf("%d failures, want at least one for each read", got)
			}

			tt.heal(server)
			cachetest.Eventually(t, "Redis is used again", func() bool {
				r, err := c.Get(t.Context(), key, o.returns("value"))
				return err == nil && r.Source == cache.FromRedis
			})
		})
	}
}

// stored makes caches over one Redis, without a memory that would hide what Redis has.
type stored struct {
	*cachetest.RedisServer
	client *redis.Client
	clock  *cachetest.Clock
	origin *origin
	keys   *cache.Keys
}

func newStored(t *testing.T) *stored {
	s := &stored{RedisServer: cachetest.StartRedis(t), clock: cachetest.NewClock()}
	s.client, s.origin = newClient(t, s.RedisServer), &origin{now: s.clock.Now}
	s.keys = keysOf(t, 1)
	return s
}

func (s *stored) cache(t *testing.T) *cache.Cache[string] {
	return newCache(s.clock.Now, empty{}, newRedis(t, s.URL(), s.keys))
}

// put stores a value and returns its name in Redis and the sealed value.
func (s *stored) put(t *testing.T, key cache.Key, value string) (name string, sealed []byte) {
	t.Helper()
	before := map[string]bool{}
	for _, n := range redisKeys(t, s.client) {
		before[n] = true
	}
	mustGet(t, s.cache(t), key, s.origin.returns(value), value, cache.FromOrigin)
	for _, n := range redisKeys(t, s.client) {
		if !before[n] {
			name = n
		}
	}
	sealed, err := s.client.Get(t.Context(), name).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return name, sealed
}

// wantUntrusted checks that the value in Redis is a miss, counted as untrusted, and is replaced.
func (s *stored) wantUntrusted(t *testing.T, key cache.Key) {
	t.Helper()
	c := s.cache(t)
	mustGet(t, c, key, s.origin.returns("fresh"), "fresh", cache.FromOrigin)
	wantStats(t, c, cache.Stats{Loads: 1, Untrusted: 1})
	mustGet(t, c, key, never(t), "fresh", cache.FromRedis)
}

func TestUntrustedValues(t *testing.T) {
	s := newStored(t)
	alice, bob, other := cachetest.Key(t, "alice", 1), cachetest.Key(t, "bob", 1), cachetest.Key(t, "alice", 2)
	name, sealed := s.put(t, alice, "of alice")
	_, ofBob := s.put(t, bob, "of bob")
	_, ofOther := s.put(t, other, "of the other resource")

	// The same key under another secret: only the seal differs.
	stranger := newStored(t)
	stranger.keys = keysOf(t, 2)
	_, foreign := stranger.put(t, alice, "of another secret")

	cut := func(n int) []byte { return bytes.Clone(sealed[:n]) }
	for _, tt := range []struct {
		name  string
		value []byte
	}{
		{"empty", []byte{}},
		{"garbage", []byte("garbage")},
		{"long garbage", bytes.Repeat([]byte("garbage"), 1000)},
		{"garbage with the right format", append(cut(1), bytes.Repeat([]byte("x"), 100)...)},
		{"plain", []byte("of alice")},
		{"only the format", cut(1)},
		{"only the format and the nonce", cut(13)},
		{"the last byte cut", cut(len(sealed) - 1)},
		{"the first byte cut", bytes.Clone(sealed[1:])},
		{"a byte too many", append(bytes.Clone(sealed), 0)},
		{"twice", append(bytes.Clone(sealed), sealed...)},
		{"format 0", append([]byte{0}, sealed[1:]...)},
		{"format 255", append([]byte{255}, sealed[1:]...)},
		{"of another caller", ofBob},
		{"of another resource of the caller", ofOther},
		{"of another secret", foreign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := s.client.Set(t.Context(), name, tt.value, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			s.wantUntrusted(t, alice)
		})
	}
	t.Run("any byte flipped", func(t *testing.T) {
		for i := range sealed {
			spoiled := bytes.Clone(sealed)
			spoiled[i] ^= 1
			if err := s.client.Set(t.Context(), name, spoiled, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			s.wantUntrusted(t, alice)
		}
	})
	t.Run("not a string", func(t *testing.T) {
		if err := s.client.Del(t.Context(), name).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.client.RPush(t.Context(), name, sealed).Err(); err != nil {
			t.Fatal(err)
		}
		s.wantUntrusted(t, alice)
	})
	t.Run("unchanged", func(t *testing.T) { // so that the cases above prove something
		if err := s.client.Set(t.Context(), name, sealed, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		mustGet(t, s.cache(t), alice, never(t), "of alice", cache.FromRedis)
	})
}

// TestPayloadOfAnotherRelease: a value that its codec refuses is untrusted, although its seal is genuine.
func TestPayloadOfAnotherRelease(t *testing.T) {
	s := newStored(t)
	key := cachetest.Key(t, "alice", 1)
	s.put(t, key, "value")
	c := cache.New(cache.Options{Policy: cache.Policy{TTL: ttl}, LoadTimeout: time.Second, Now: s.clock.Now}, cache.Codec[string]{
		Encode: cachetest.StringCodec.Encode,
		Decode: func(s string) (string, error) { return "half a value", fmt.Errorf("unknown field in %q", s) },
	}, empty{}, newRedis(t, s.URL(), s.keys))
	mustGet(t, c, key, s.origin.returns("fresh"), "fresh", cache.FromOrigin)
	wantStats(t, c, cache.Stats{Loads: 1, Untrusted: 1})
}

func TestRedisShowsNothing(t *testing.T) {
	s := newStored(t)
	const marker, id = "markermarker", 1234567890
	c := s.cache(t)
	for _, caller := range []string{"token of alice", "token of bob"} {
		key, err := cache.NewKey(cachetest.Caller(caller), "resourcename", id, "variantname")
		if err != nil {
			t.Fatal(err)
		}
		mustGet(t, c, key, s.origin.returns(marker), marker, cache.FromOrigin)
	}
	all := redisKeys(t, s.client)
	if len(all) != 2 {
		t.Fatalf("%d names, want 2", len(all))
	}
	for _, name := range all {
		left, err := s.client.PTTL(t.Context(), name).Result()
		if err != nil || left <= 0 || left > ttl {
			t.Errorf("%s has a ttl of %s, error %v; want at most %s", name, left, err, ttl)
		}
		value, err := s.client.Get(t.Context(), name).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{
			marker, "resourcename", "variantname", "token of", fmt.Sprint(id), fmt.Sprintf("%x", id),
			string([]byte{id >> 24 & 0xff, id >> 16 & 0xff, id >> 8 & 0xff, id & 0xff}),
		} {
			if strings.Contains(name, secret) || strings.Contains(value, secret) {
				t.Errorf("%q shows in %s = %q", secret, name, value)
			}
		}
		for _, caller := range []string{"token of alice", "token of bob"} {
			digest := cachetest.Caller(caller)
			if strings.Contains(value, string(digest[:])) || strings.Contains(name, fmt.Sprintf("%x", digest)) {
				t.Errorf("the digest of the caller shows in %s", name)
			}
		}
	}
}

// TestCloseWritesPendingRevocations: a revocation that failed is written when the process ends.
func TestCloseWritesPendingRevocations(t *testing.T) {
	server := cachetest.StartRedis(t)
	client, err := cache.NewRedisClient(cache.RedisOptions{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	store := cache.NewRedis(client, keysOf(t, 1), cache.StoreOptions{Prefix: "authentik-graphql:", Logger: slog.New(slog.DiscardHandler)})
	key := cachetest.Key(t, "alice", 1)
	server.Kill()
	if err := store.Revoke(t.Context(), key.ResourceID(), time.Minute); err == nil {
		t.Fatal("Redis is not down")
	}
	server.Restart()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	other := newRedis(t, server.URL(), keysOf(t, 1))
	if v, err := other.Read(t.Context(), key); err != nil || !v.Revoked {
		t.Errorf("revoked %t, error %v", v.Revoked, err)
	}
}

// TestRedisDoesNotStore: a Redis that is full or read-only is still read. That it has no entry confirms as
// well that a stale value in memory may be used.
func TestRedisDoesNotStore(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(t *testing.T, s *stored) *cachetest.RedisServer{
		"full": func(t *testing.T, s *stored) *cachetest.RedisServer {
			if err := s.client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
				t.Fatal(err)
			}
			return s.RedisServer
		},
		"a replica": func(t *testing.T, s *stored) *cachetest.RedisServer { return cachetest.StartReplica(t, s.RedisServer) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStored(t)
			there, nowhere, here, gone := cachetest.Key(t, "alice", 1), cachetest.Key(t, "alice", 2), cachetest.Key(t, "alice", 3), cachetest.Key(t, "alice", 4)
			policy := cache.Policy{TTL: ttl, StaleIfError: time.Hour}
			mustGet(t, newCacheOf(policy, s.clock.Now, empty{}, newRedis(t, s.URL(), s.keys)), there, s.origin.returns("there"), "there", cache.FromOrigin)
			if err := newRedis(t, s.URL(), s.keys).Revoke(t.Context(), gone.ResourceID(), time.Minute); err != nil {
				t.Fatal(err)
			}
			c := newCacheOf(policy, s.clock.Now, newMemory(t, s.clock.Now), newRedis(t, refuse(t, s).URL(), keysOf(t, 1)))
			mustGet(t, c, there, never(t), "there", cache.FromRedis)
			mustGet(t, c, here, s.origin.returns("here"), "here", cache.FromOrigin)
			wantError(t, c, gone, never(t), cache.ErrRevoked)
			s.clock.Advance(ttl)
			mustGet(t, c, nowhere, s.origin.returns("loaded"), "loaded", cache.FromOrigin)
			for key, want := range map[cache.Key]string{there: "there", here: "here"} {
				r, err := c.Get(t.Context(), key, s.origin.fails(errUnavailable))
				if err != nil || r.Value != want || r.Stale != cache.StaleIfError {
					t.Errorf("got %q, stale %q, error %v; want %q", r.Value, r.Stale, err, want)
				}
			}
		})
	}
}
