package cache

import (
	"context"
	"time"
)

// encodedStore keeps each value as its codec writes it: one block without pointers. As an object a value
// is a hundred small ones, and the garbage collector looks at all of them again and again.
type encodedStore[V any] struct {
	store   Store[string] // in memory, so that it does not fail
	codec   Codec[V]
	buffers buffers
}

// look returns what is known of a value. The value itself stays encoded.
func (f *encodedStore[V]) look(ctx context.Context, key Key) (e Entry[string], found bool) {
	e, found, _ = f.store.Get(ctx, key)
	return e, found
}

// get returns a value, which is nobody else's but for its texts. One that cannot be decoded is as one that
// is not there.
func (f *encodedStore[V]) get(ctx context.Context, key Key) (e Entry[V], found bool) {
	kept, found := f.look(ctx, key)
	if !found {
		return e, false
	}
	e = valued(kept, e.Value)
	if e.Outcome != Value {
		return e, true
	}
	var err error
	e.Value, err = f.codec.Decode(kept.Value)
	return e, err == nil
}

func (f *encodedStore[V]) set(ctx context.Context, key Key, e Entry[V], ttl time.Duration) {
	f.encode(&e)
	_ = f.store.Set(ctx, key, valued(e, e.encoded), ttl)
}

// encode sets what both levels keep of a value.
func (f *encodedStore[V]) encode(e *Entry[V]) {
	if e.Outcome != Value || e.encoded != "" {
		return
	}
	b := f.buffers.get()
	defer f.buffers.put(b)
	b.plain = f.codec.Encode(b.plain[:0], e.Value)
	e.encoded = string(b.plain)
}

// valued is an entry with another value in place of its own.
func valued[A, B any](e Entry[A], value B) Entry[B] {
	return Entry[B]{
		Value:        value,
		FetchedAt:    e.FetchedAt,
		EndsAt:       e.EndsAt,
		FreshOnly:    e.FreshOnly,
		Err:          e.Err,
		Outcome:      e.Outcome,
		subscription: e.subscription,
		hash:         e.hash,
		stored:       e.stored,
	}
}
