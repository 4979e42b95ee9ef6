package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Caller is a keyed digest of the credential that goes upstream.
type Caller [sha256.Size]byte

// ResourceID identifies a resource of the origin, for all callers.
type ResourceID struct {
	resource string
	id       int32 // 0 for all lists of the resource
}

// NewResourceID returns the id of a resource.
func NewResourceID(resource string, id int32) (ResourceID, error) {
	if resource == "" || id < 1 {
		return ResourceID{}, ErrBadKey
	}
	return ResourceID{resource: resource, id: id}, nil
}

// Resource returns the kind of resource.
func (r ResourceID) Resource() string { return r.resource }

func (r ResourceID) packed() string { return string(binary.BigEndian.AppendUint32(nil, uint32(r.id))) }

// Format prints the kind of resource and the id.
func (r ResourceID) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%s/%d", r.resource, r.id) }

// Key identifies a value as one caller sees it. Only [NewKey] and [NewListKey] make keys.
type Key struct {
	caller  Caller
	id      ResourceID
	variant string
	// listVersion is the version of the lists that a list belongs to.
	listVersion string
	// failure makes it the key under which memory keeps the last load that failed.
	failure bool
}

// ErrBadKey is returned for a key that lacks a part.
var ErrBadKey = errors.New("cache: a key needs a caller, a resource and an id")

// NewKey makes the key of a resource. variant names everything else that shapes the value, such as what is
// redacted from it: processes with different settings share nothing.
func NewKey(caller Caller, resource string, id int32, variant string) (Key, error) {
	r, err := NewResourceID(resource, id)
	if err != nil || caller == (Caller{}) {
		return Key{}, ErrBadKey
	}
	return Key{caller: caller, id: r, variant: variant}, nil
}

// NewListKey makes the key of a list of resources. variant names the query as well, version is the
// [Cache.ListVersion].
func NewListKey(caller Caller, resource, variant, version string) (Key, error) {
	if resource == "" || caller == (Caller{}) || version == "" {
		return Key{}, ErrBadKey
	}
	return Key{caller: caller, id: ResourceID{resource: resource}, variant: variant, listVersion: version}, nil
}

// ResourceID returns the resource that the key belongs to.
func (k Key) ResourceID() ResourceID { return k.id }

// Format prints the kind of resource and the id, but not the caller.
func (k Key) Format(f fmt.State, verb rune) { k.id.Format(f, verb) }

func (k Key) isList() bool { return k.id.id == 0 }

func (k Key) ofFailure() Key {
	k.failure = true
	return k
}
