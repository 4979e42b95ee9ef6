package cache

import (
	"context"
	"time"
)

// Store keeps entries. An implementation must be safe for concurrent use, must not give out an
// entry after its ttl, must not keep one whose ttl is not positive, and must report an entry it does
// not have as not found, not as an error. An error means that the store could not be asked, or that
// what it gave cannot be trusted; no entry is returned then.
type Store[V any] interface {
	Get(ctx context.Context, key Key) (e Entry[V], found bool, err error)
	Set(ctx context.Context, key Key, e Entry[V], ttl time.Duration) error
	// Delete takes a key's entry away.
	Delete(ctx context.Context, key Key) error
	Close() error
}

// Shared is a store that several processes share. It also tells them of each other's loads and of
// revoked rows. An error means that it could not be asked or did not do what it was told; values that
// cannot be trusted are left out of a [View] and counted there.
type Shared[V any] interface {
	Store[V]

	// Read returns all that is known of a key.
	Read(ctx context.Context, key Key) (View[V], error)
	// Acquire does too and, in the same step, takes the key's lease for leaseTTL if nobody has it: Acquired
	// tells. With onlyIfMissing it takes none where there is an entry or a failure, which may be all
	// that is wanted. token is the owner's, and whoever has it may acquire again.
	Acquire(ctx context.Context, key Key, token string, onlyIfMissing bool) (View[V], error)
	// Renew makes the token's lease last for leaseTTL from now. held is false if it has lapsed.
	Renew(ctx context.Context, key Key, token string) (held bool, err error)
	// Commit ends the token's lease and, in the same step, keeps its outcome for ttl: a value or a
	// denial as the key's entry, a failure beside it. If the lease is not the token's, nothing is kept,
	// and a denial only takes the entry away that it forbids. Nothing is kept of a row that is revoked,
	// which it tells. A ttl that is not positive keeps nothing.
	Commit(ctx context.Context, key Key, token string, e Entry[V], ttl time.Duration) (revoked bool, err error)

	// ListVersion names the present state of the lists of a resource's rows: the same in all
	// processes, and another one once a row is revoked.
	ListVersion(ctx context.Context, resource string) (string, error)
	// Revoke makes every entry of the row unusable for ttl, here and in all processes, begins another
	// version of its resource, and tells them.
	Revoke(ctx context.Context, row ResourceID, ttl time.Duration) error
	// ResourceHash makes the tag of a row, the same in all processes.
	ResourceHash(row ResourceID) ResourceHash
	// Listen begins to hear of rows that processes revoke, and tells of them until the store is closed.
	Listen(told func(ResourceHash))
	// Subscription names the present subscription to revocations, 0 if there was none yet.
	Subscription() int64
	// InSync tells whether this process has heard of every revocation since the subscription's subscription
	// began: whether what was learned in it may still be used without asking.
	InSync(subscription int64) bool
}

// View is what a [Shared] store knows of a key.
type View[V any] struct {
	// Entry is the value or denial, with Outcome and FetchedAt; Found tells whether there is one.
	Entry Entry[V]
	Found bool
	// Failure is the outcome of a load that failed a moment ago; Failing tells whether there is one.
	Failure    Entry[V]
	HasFailure bool
	// Revoked tells that the row was revoked.
	Revoked bool
	// Acquired tells that the token holds the lease.
	Acquired bool
	// Untrusted counts values that are none that we stored under their name.
	Untrusted int
}
