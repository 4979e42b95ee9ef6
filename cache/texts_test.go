package cache_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"strings"
	"testing"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

func TestTexts(t *testing.T) {
	server := cachetest.StartRedis(t)
	client := newClient(t, server)
	open := func(secret byte) *cache.Texts { return cache.NewTexts(newRedis(t, server.URL(), keysOf(t, secret))) }
	one, other, foreign := open(1), open(1), open(2)
	const text = `{ authorizationCode(id: "4711") { id } }`
	hash := sha256.Sum256([]byte(text))

	wantText(t, one, hash, "")
	one.Keep(t.Context(), hash, text)
	wantText(t, other, hash, text)
	wantText(t, foreign, hash, "")
	wantText(t, one, sha256.Sum256([]byte("another")), "")

	all := redisKeys(t, client)
	if len(all) != 1 {
		t.Fatalf("Redis holds %q", all)
	}
	sealed, err := client.Get(t.Context(), all[0]).Result()
	if err != nil || strings.Contains(sealed, "authorizationCode") || strings.Contains(all[0], string(hash[:8])) {
		t.Errorf("Redis shows %q = %q, error %v", all[0], sealed, err)
	}
	if left := client.PTTL(t.Context(), all[0]).Val(); left <= 0 {
		t.Error("the text does not expire")
	}

	t.Run("a changed text is not returned", func(t *testing.T) {
		if err := client.Set(t.Context(), all[0], sealed[:len(sealed)-1]+"x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		wantText(t, one, hash, "")
	})
}

// TestTextsAreBounded: clients cannot fill Redis.
func TestTextsAreBounded(t *testing.T) {
	server := cachetest.StartRedis(t)
	client := newClient(t, server)
	texts := cache.NewTexts(newRedis(t, server.URL(), keysOf(t, 1)))
	large := strings.Repeat("#", 64<<10)
	for i := range 40 {
		text := string(rune('a'+i)) + large
		texts.Keep(t.Context(), sha256.Sum256([]byte(text)), text)
	}
	if n := len(redisKeys(t, client)); n < 10 || n > 20 {
		t.Errorf("%d texts of 64 KiB were kept at once, want about 16", n)
	}
}

// TestTextsWithoutRedis: a failing Redis is the same as one without texts.
func TestTextsWithoutRedis(t *testing.T) {
	server := cachetest.StartRedis(t)
	client, err := cache.NewRedisClient(cache.RedisOptions{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	texts := cache.NewTexts(newRedisOn(t, client, keysOf(t, 1), slog.New(slog.DiscardHandler)))
	server.Kill()
	for range 10 {
		hash := sha256.Sum256(nil)
		texts.Keep(t.Context(), hash, "x")
		wantText(t, texts, hash, "")
	}
}

func wantText(t *testing.T, texts *cache.Texts, hash [sha256.Size]byte, want string) {
	t.Helper()
	if got, ok := texts.Text(context.WithoutCancel(t.Context()), hash); got != want || ok != (want != "") {
		t.Errorf("got %q, %t, want %q", got, ok, want)
	}
}
