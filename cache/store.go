package cache

import (
	"context"
	"time"
)

// Store keeps entries in this process. It must be safe for concurrent use, must not return an entry after its
// ttl, and must not keep one whose ttl is not positive.
type Store interface {
	Get(key Key) (e Encoded, found bool)
	Set(key Key, e Encoded, ttl time.Duration)
	Delete(key Key)
	Close()
}

// Shared is a store that several processes share, together with their leases and revocations. An error means
// that the store could not be asked or did not do what it was asked to.
type Shared interface {
	// Read returns everything that is known about a key.
	Read(ctx context.Context, key Key) (View, error)
	// Acquire does the same and, in the same step, takes the key's lease for leaseTTL if it is free or
	// already the token's. With onlyIfMissing it takes no lease if there is an entry or a failure.
	Acquire(ctx context.Context, key Key, token string, onlyIfMissing bool) (View, error)
	// Renew extends the token's lease to leaseTTL from now. acquired is false if the lease has lapsed.
	Renew(ctx context.Context, key Key, token string) (acquired bool, err error)
	// Commit ends the token's lease and, in the same step, keeps the outcome for ttl: a value, denial or refusal
	// as the key's entry, a failure beside it. Without the lease it keeps nothing, but a denial still deletes
	// the entry that it invalidates. It keeps nothing of a revoked resource, nor with a ttl that is not
	// positive.
	Commit(ctx context.Context, key Key, token string, e Encoded, ttl time.Duration) (revoked bool, err error)
	// Delete deletes the key's entry.
	Delete(ctx context.Context, key Key) error

	// ListVersion returns the version of the lists of a kind of resource. It is the same in all processes and
	// changes with every revocation of such a resource.
	ListVersion(ctx context.Context, resource string) (string, error)
	// Revoke makes every entry of the resource unusable for ttl, in all processes, starts another version of
	// the lists that may show it, and notifies all processes.
	Revoke(ctx context.Context, id ResourceID, ttl time.Duration) error
	// ResourceHash returns the hash under which processes are notified of a revocation.
	ResourceHash(id ResourceID) ResourceHash
	// Listen calls notify for every revocation until the store is closed. It may be called once.
	Listen(notify func(ResourceHash))
	// Subscription returns the generation of the present subscription to revocations; 0 before the first.
	Subscription() int64
	// InSync reports whether this process has been notified of every revocation since that generation began.
	// If so, what was confirmed under it may be used without asking again.
	InSync(subscription int64) bool
	Close() error
}

// View is what a [Shared] store knows about a key.
type View struct {
	// Entry is the value or the denial, if Found.
	Entry Encoded
	Found bool
	// Failure is the outcome of a recent load that failed, if HasFailure.
	Failure    Encoded
	HasFailure bool
	// Revoked reports that the resource was revoked.
	Revoked bool
	// Acquired reports that the token holds the lease.
	Acquired bool
	// Untrusted counts the values that no process with our secret stored under their name.
	Untrusted int
}
