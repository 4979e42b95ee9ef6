package responsecache

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authentik-graphql/cache"
	"authentik-graphql/cache/cachetest"
)

const resource = "codes"

// revocations are rows that are revoked one after the other: authentik refuses row i once gone[i] is set,
// and no response that shows it may be replayed once over[i] is.
type revocations struct {
	responses *Cache
	cache     [2]*cache.Cache[string] // of two processes; the responses are the first's
	gone      []atomic.Bool
	over      []atomic.Bool
	row       atomic.Int64 // the next one to be revoked
}

var errGone = errors.New("gone")

// TestRevokedIsNotReplayed checks that, whatever else happens at the same time, a response is not replayed
// once a row that it shows was revoked, by this process or by another, or a read of it was denied.
func TestRevokedIsNotReplayed(t *testing.T) {
	const rows, clients = 200, 6
	keys, err := cache.DeriveKeys(bytes.Repeat([]byte{1}, cache.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	redis := cachetest.NewFakeRedis(keys, time.Now)
	r := &revocations{gone: make([]atomic.Bool, rows), over: make([]atomic.Bool, rows)}
	first := redis.Process()
	for i, process := range []*cachetest.Process{first, redis.Process()} {
		memory, err := cache.NewMemory(1<<20, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		r.cache[i] = cache.New(cache.Options{
			Policy: cache.Policy{TTL: time.Minute, NegativeTTL: time.Minute}, LoadTimeout: time.Minute,
			Classify: func(error) cache.Outcome { return cache.Denied }, Now: time.Now,
		}, cachetest.StringCodec, memory, process)
		t.Cleanup(func() { _ = r.cache[i].Close(context.Background()) })
	}
	if r.responses, err = New(Options{MaxBytes: 1 << 20, Valid: r.cache[0].Valid, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.responses.Close)

	ctx, end := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for range clients {
		busy.Go(func() { r.ask(ctx, t) })
	}
	busy.Go(func() { r.disturb(ctx, t, first) })
	for i := range rows {
		r.row.Store(int64(i))
		for before := r.responses.Replayed(); r.responses.Replayed() < before+3*clients && !t.Failed(); {
			runtime.Gosched()
		}
		r.revoke(t, i)
	}
	end()
	busy.Wait()
}

// revoke ends a row in one of three ways.
func (r *revocations) revoke(t *testing.T, i int) {
	key := cachetest.Key(t, "alice", int32(i+1))
	r.gone[i].Store(true)
	if by := i % 3; by < 2 {
		if err := r.cache[by].Revoke(t.Context(), key.ResourceID()); err != nil {
			t.Error(err)
		}
		r.over[i].Store(true)
		return
	}
	for { // a load that began before may bring it back once more
		if err := r.cache[0].Drop(t.Context(), key); err != nil {
			t.Error(err)
		}
		if _, err := r.cache[0].Get(t.Context(), key, r.load(i)); err != nil {
			break
		}
	}
	r.over[i].Store(true)
}

// load asks authentik for a row.
func (r *revocations) load(i int) cache.Loader[string] {
	return func(context.Context) (cache.Entry[string], error) {
		asked := time.Now()
		if r.gone[i].Load() {
			return cache.Entry[string]{FetchedAt: asked}, errGone
		}
		runtime.Gosched() // it may end before its answer arrives
		return cache.Entry[string]{Value: strconv.Itoa(i), FetchedAt: asked}, nil
	}
}

// ask is a client: it asks for the row that is revoked next, for an earlier one, and for the list.
func (r *revocations) ask(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil && !t.Failed() {
		i := int(r.row.Load())
		old := rand.IntN(i + 1)
		r.send(t, strconv.Itoa(i), func() (cache.Result[string], error) { return r.get(ctx, t, i) })
		r.send(t, strconv.Itoa(old), func() (cache.Result[string], error) { return r.get(ctx, t, old) })
		r.send(t, "list", func() (cache.Result[string], error) { return r.list(ctx, t) })
	}
}

// send looks for a cached response as the middleware does, and stores one if there is none.
func (r *revocations) send(t *testing.T, request string, read func() (cache.Result[string], error)) {
	over := make([]bool, len(r.over))
	for i := range over[:r.row.Load()+1] {
		over[i] = r.over[i].Load()
	}
	key := keyOf(t, alice, request)
	if cached := r.responses.get(key, time.Now()); cached != nil {
		for row := range strings.SplitSeq(string(cached.body), " ") {
			if i, err := strconv.Atoi(row); err == nil && over[i] {
				t.Errorf("%s shows row %d, which is revoked", request, i)
			}
		}
		return
	}
	made, err := read()
	if err != nil {
		return
	}
	r.responses.put(key, &response{
		body:       []byte(made.Value),
		Provenance: &Provenance{FreshUntil: made.FreshUntil, Dependencies: []cache.Dependency{made.Dependency()}},
	})
}

func (r *revocations) get(ctx context.Context, t *testing.T, i int) (cache.Result[string], error) {
	return r.cache[0].Get(ctx, cachetest.Key(t, "alice", int32(i+1)), r.load(i))
}

// list reads the rows around the one that is revoked next, without those that the process knows to be
// revoked.
func (r *revocations) list(ctx context.Context, t *testing.T) (cache.Result[string], error) {
	c := r.cache[0]
	key, err := cache.NewListKey(alice, resource, "", c.ListVersion(ctx, resource))
	if err != nil {
		t.Error(err)
	}
	read, err := c.Get(ctx, key, func(context.Context) (cache.Entry[string], error) {
		e := cache.Entry[string]{FetchedAt: time.Now()}
		for i := max(0, int(r.row.Load())-3); i < min(len(r.gone), int(r.row.Load())+3); i++ {
			if i%3 < 2 && !r.gone[i].Load() { // a list is not told of what was denied alone
				e.Value += strconv.Itoa(i) + " "
			}
		}
		return e, nil
	})
	var living []string
	for row := range strings.FieldsSeq(read.Value) {
		i, _ := strconv.Atoi(row)
		if !c.Revoked(cachetest.Key(t, "alice", int32(i+1)).ResourceID()) {
			living = append(living, row)
		}
	}
	read.Value = strings.Join(living, " ")
	return read, err
}

// disturb does what else happens: rows come by lists, entries are dropped, other rows are read, and the
// process is disconnected.
func (r *revocations) disturb(ctx context.Context, t *testing.T, process *cachetest.Process) {
	for ctx.Err() == nil && !t.Failed() {
		i := int(r.row.Load())
		switch key := cachetest.Key(t, "alice", int32(i+1)); rand.IntN(8) {
		case 0, 1, 2:
			asked := r.cache[0].Subscription()
			if e, err := r.load(i)(ctx); err == nil {
				r.cache[0].Prime(key, e, asked)
			}
		case 3:
			_ = r.cache[0].Drop(ctx, key)
		case 4, 5:
			_, _ = r.get(ctx, t, rand.IntN(len(r.gone)))
		case 6:
			process.Disconnect(true)
			runtime.Gosched()
			process.Disconnect(false)
		}
		for before := r.responses.Replayed(); r.responses.Replayed() < before+2 && ctx.Err() == nil && !t.Failed(); {
			runtime.Gosched()
		}
	}
}
