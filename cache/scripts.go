package cache

import "github.com/redis/go-redis/v9"

// luaGet defines get, to which a value of a type that we do not store is an empty text.
const luaGet = `
local function get(name)
	local value = redis.pcall('GET', name)
	if type(value) == 'table' then
		return ''
	end
	return value
end
`

// acquireScript takes a lease that is free or the token's. A lease without an expiry, or that lasts longer
// than any of ours, is foreign and would block loads for as long as it lasts.
//
// KEYS entry, failure, tombstone, lease; ARGV token, ttl in ms, content of a genuine tombstone, 1 to take no
// lease if there is an entry or a failure.
var acquireScript = redis.NewScript(luaGet + `
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

// renewScript extends a lease.
//
// KEYS lease; ARGV token, ttl in ms.
var renewScript = redis.NewScript(luaGet + `
if get(KEYS[1]) == ARGV[1] then
	return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
`)

// commitScript stores an outcome and ends the lease. With a lease that has lapsed it stores nothing: another
// load has started since, and its outcome counts. A denial deletes the entry even then; at worst the resource
// is loaded once more.
//
// KEYS entry, failure, tombstone, lease; ARGV token, content of a genuine tombstone, entry and its ttl in ms
// or 0, failure and its ttl in ms or 0, 1 for a denial.
var commitScript = redis.NewScript(luaGet + `
local acquired = get(KEYS[4]) == ARGV[1]
if acquired then
	redis.call('DEL', KEYS[4])
end
if get(KEYS[3]) == ARGV[2] then
	redis.call('DEL', KEYS[1], KEYS[2])
	return 1
end
if not acquired and ARGV[7] == '1' then
	redis.call('DEL', KEYS[1])
end
if acquired and tonumber(ARGV[4]) > 0 then
	redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
	redis.call('DEL', KEYS[2])
end
if acquired and tonumber(ARGV[6]) > 0 then
	redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
end
return 0
`)

// listVersionScript returns the version of a resource's lists, or starts the one that is offered.
//
// KEYS version; ARGV a new version, its ttl in ms.
var listVersionScript = redis.NewScript(luaGet + `
local current = get(KEYS[1])
if current and current ~= '' then
	return current
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`)

// publishScript publishes where the channel's name belongs in a cluster, which is where its subscribers are:
// from another node the message would travel over the cluster's bus, which may lose it.
//
// KEYS channel; ARGV message.
var publishScript = redis.NewScript(`return redis.call('PUBLISH', KEYS[1], ARGV[1])`)
