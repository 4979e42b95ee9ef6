package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

const (
	// textTTL is how long a text is kept after it was sent last.
	textTTL = time.Hour
	// textRate and textBurst bound, in bytes a second and at once, what a process stores of texts:
	// they are the clients' own, and nobody is to fill Redis with them.
	textRate  = 16 << 10
	textBurst = 1 << 20
)

// Texts keeps texts that belong to no caller, such as persisted queries, for all processes that share
// a [Redis]. They are sealed like everything else there, and their names do not show their hashes.
type Texts struct {
	ask    func(ctx context.Context, op Operation, run func(context.Context) error) error
	client redis.UniversalClient
	keys   *Keys
	prefix string
	owner  Caller
	budget *rate.Limiter
	// untrusted counts the texts that were not stored here.
	untrusted *atomic.Int64
}

// NewTexts keeps texts beside a store's values.
func NewTexts[V any](r *Redis[V]) *Texts {
	return &Texts{
		ask:    r.ask,
		client: r.client,
		keys:   r.keys,
		prefix: r.prefix,
		owner:  Caller(r.keys.mac("owner of texts", nil, ResourceID{}, "")),
		budget: rate.NewLimiter(textRate, textBurst),

		untrusted: &r.untrustedTexts,
	}
}

func (t *Texts) name(hash [sha256.Size]byte) string {
	// Under the name of another format stands nothing that this one cannot open.
	sum := t.keys.mac("text "+string([]byte{formatVersion}), hash[:], ResourceID{}, "")
	return t.prefix + "t" + encode(sum[:])
}

// Text returns the text that was kept under a hash. A Redis that cannot be asked has none.
func (t *Texts) Text(ctx context.Context, hash [sha256.Size]byte) (text string, ok bool) {
	name := t.name(hash)
	var sealed string
	err := t.ask(ctx, opReadText, func(ctx context.Context) (err error) {
		sealed, err = t.client.Get(ctx, name).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	if err != nil || sealed == "" {
		return "", false
	}
	plain, err := t.keys.appendOpened(nil, t.owner, name, sealed)
	if err != nil {
		t.untrusted.Add(1)
		return "", false
	}
	return string(plain), true
}

// Keep keeps a text under its hash, if there is room for it.
func (t *Texts) Keep(ctx context.Context, hash [sha256.Size]byte, text string) {
	if !t.budget.AllowN(time.Now(), len(text)) {
		return
	}
	name := t.name(hash)
	sealed, err := t.keys.appendSealed(nil, t.owner, name, []byte(text))
	if err != nil {
		return
	}
	// A text that is not kept is sent again by its client; the breaker has counted the failure.
	_ = t.ask(ctx, opKeepText, func(ctx context.Context) error {
		return t.client.Set(ctx, name, sealed, textTTL).Err()
	})
}
