package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

const (
	// textTTL is how long a text is kept after it was last stored.
	textTTL = time.Hour
	// textRate and textBurst bound, in bytes a second and at once, what a process stores: clients choose the
	// texts, and must not fill Redis with them.
	textRate  = 16 << 10
	textBurst = 1 << 20
)

// Texts shares texts that belong to no caller, such as persisted queries, with all processes on a [Redis].
// They are sealed like values, and their names do not show their hashes.
type Texts struct {
	redis  *Redis
	owner  Caller
	budget *rate.Limiter
}

// NewTexts keeps texts in the same Redis.
func NewTexts(r *Redis) *Texts {
	return &Texts{redis: r, owner: Caller(r.keys.sum("owner of texts")), budget: rate.NewLimiter(textRate, textBurst)}
}

func (t *Texts) name(hash [sha256.Size]byte) string {
	return t.redis.prefix + "t" + encode(t.redis.keys.sum("text", format, string(hash[:])))
}

// Text returns the text with a hash. A Redis that cannot be asked has none.
func (t *Texts) Text(ctx context.Context, hash [sha256.Size]byte) (text string, ok bool) {
	name := t.name(hash)
	var sealed string
	err := t.redis.do(ctx, opReadText, func(ctx context.Context) (err error) {
		sealed, err = t.redis.client.Get(ctx, name).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	if err != nil || sealed == "" {
		return "", false
	}
	plain, err := t.redis.keys.open(t.owner, name, sealed)
	if err != nil {
		t.redis.untrustedTexts.Add(1)
		return "", false
	}
	return string(plain), true
}

// Keep stores a text under its hash, if the budget allows it.
func (t *Texts) Keep(ctx context.Context, hash [sha256.Size]byte, text string) {
	if !t.budget.AllowN(time.Now(), len(text)) {
		return
	}
	name := t.name(hash)
	sealed := t.redis.keys.seal(t.owner, name, []byte(text))
	// The client sends a text that was not stored once more; the breaker has counted the failure.
	_ = t.redis.do(ctx, opKeepText, func(ctx context.Context) error {
		return t.redis.client.Set(ctx, name, sealed, textTTL).Err()
	})
}
