package cache

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// get reads a name of ours in a script. What is there of another type is as an empty text, which is
// nothing that we store.
const luaGet = `
local function get(name)
	local value = redis.pcall('GET', name)
	if type(value) == 'table' then
		return ''
	end
	return value
end
`

// acquire takes a lease that is free or ours. One that lives for ever or longer than any lease is
// foreign, and would stop loads for as long as it lives.
//
// KEYS entry, failure, tombstone, lease; ARGV token, time to live in ms, proof of a tombstone, 1 to
// take no lease where there is an entry or a failure.
var acquire = redis.NewScript(luaGet + `
local entry, failure, tombstone = get(KEYS[1]), get(KEYS[2]), get(KEYS[3])
if tombstone == ARGV[3] or ARGV[4] == '1' and (entry or failure) then
	return {entry, failure, tombstone, 0}
end
local left = redis.call('PTTL', KEYS[4])
if left == -1 or left > tonumber(ARGV[2]) then
	redis.call('DEL', KEYS[4])
end
if get(KEYS[4]) == ARGV[1] or redis.call('SET', KEYS[4], ARGV[1], 'NX', 'PX', ARGV[2]) then
	return {entry, failure, tombstone, 1}
end
return {entry, failure, tombstone, 0}
`)

// KEYS lease; ARGV token, time to live in ms.
var renew = redis.NewScript(luaGet + `
if get(KEYS[1]) == ARGV[1] then
	return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
`)

// commit stores an outcome and ends the lease. With a lease that has lapsed nothing is stored:
// another load has begun later, and its outcome counts. But a denial forbids what was stored before
// it, whoever holds the lease: at worst the row is loaded once more.
//
// KEYS entry, failure, tombstone, lease; ARGV token or nothing, proof of a tombstone, entry and its
// time to live in ms or 0, failure and its time to live in ms or 0, 1 for a denial.
var commit = redis.NewScript(luaGet + `
local mine = ARGV[1] == ''
if not mine and get(KEYS[4]) == ARGV[1] then
	redis.call('DEL', KEYS[4])
	mine = true
end
if get(KEYS[3]) == ARGV[2] then
	redis.call('DEL', KEYS[1], KEYS[2])
	return 1
end
if not mine and ARGV[7] == '1' then
	redis.call('DEL', KEYS[1])
end
if mine and tonumber(ARGV[4]) > 0 then
	redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
	redis.call('DEL', KEYS[2])
end
if mine and tonumber(ARGV[6]) > 0 then
	redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
end
return 0
`)

func (n redisKeys) all() []string { return []string{n.entry, n.failure, n.tombstone, n.lease} }

// Acquire implements [Shared]. A Redis that does not store is read still, if that may be enough.
func (r *Redis[V]) Acquire(ctx context.Context, key Key, token string, onlyIfMissing bool) (View[V], error) {
	n := r.keys.redisKeys(r.prefix, key)
	var values []any
	err := r.ask(ctx, opAcquire, func(ctx context.Context) (err error) {
		values, err = acquire.Run(ctx, r.client, n.all(), token, leaseTTL.Milliseconds(), n.mac, onlyIfMissing).Slice()
		return err
	})
	if err != nil && onlyIfMissing && refuses(err) {
		return r.Read(ctx, key)
	}
	if err != nil {
		return View[V]{}, err
	}
	if len(values) != 4 {
		return View[V]{}, errReply
	}
	v := r.view(key, n, values)
	if v.Acquired = values[3] == int64(1); v.Acquired {
		r.leases.Add(1)
		r.stored()
	}
	return v, nil
}

// Renew implements [Shared].
func (r *Redis[V]) Renew(ctx context.Context, key Key, token string) (held bool, err error) {
	n := r.keys.redisKeys(r.prefix, key)
	err = r.ask(ctx, opRenew, func(ctx context.Context) (err error) {
		held, err = renew.Run(ctx, r.client, []string{n.lease}, token, leaseTTL.Milliseconds()).Bool()
		return err
	})
	return held, err
}

// Commit implements [Shared]. An outcome that cannot be encoded is not kept.
func (r *Redis[V]) Commit(ctx context.Context, key Key, token string, e Entry[V], ttl time.Duration) (revoked bool, err error) {
	n := r.keys.redisKeys(r.prefix, key)
	args := []any{token, n.mac, "", 0, "", 0, e.Outcome.denies()}
	if ttl >= time.Millisecond { // Redis knows no shorter one, and go-redis would round it up
		at, name := 2, n.entry
		if e.Outcome == Unavailable || e.Outcome == Error {
			at, name = 4, n.failure
		}
		b := r.buffers.get()
		defer r.buffers.put(b) // once it is written
		b.plain, err = appendEntry(b.plain[:0], r.codec, e)
		if err == nil {
			b.sealed, err = r.keys.appendSealed(b.sealed[:0], key.caller, name, b.plain)
		}
		if err == nil {
			args[at], args[at+1] = b.sealed, ttl.Milliseconds()
		}
	}
	err = r.ask(ctx, opCommit, func(ctx context.Context) (err error) {
		revoked, err = commit.Run(ctx, r.client, n.all(), args...).Bool()
		return err
	})
	return revoked, err
}
