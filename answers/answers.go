// Package answers keeps finished answers: the bytes that a request was answered with, for the next
// request of the same caller that is its equal.
//
// It stands in front of everything that makes an answer and knows nothing of what is in one. Who
// made it says what was read for it; it is given again only while each of these reads would give
// the same, fresh, once more. So whatever holds for what is cached holds for what was made of it.
package answers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"
	"weak"

	"github.com/maypok86/otter/v2"

	"authentik-graphql/cache"
)

// Answer is what a request was answered with. Nobody changes it.
type Answer struct {
	// Fields are the header fields that are the same each time: all but those that tell its age.
	Fields []Field
	// Body is made by [Body].
	Body []byte
	// Freshness is that of the least fresh read, as one that is given out of this process's memory.
	Freshness cache.Result[struct{}]
	// Marks are of all reads.
	Marks []cache.Mark
	// OperationType and OperationName are for the log.
	OperationType, OperationName string
	// Stated is what was last said of its age. It is the same for a second.
	Stated atomic.Pointer[Statement]
}

// Statement is what the header fields of an answer say of its age.
type Statement struct {
	// Age and Left are the seconds since the least fresh read and those for which it is still fresh.
	Age, Left int
	// Lines are Age, Cache-Control and Cache-Status, and Status that of the log.
	Lines  [3]string
	Status string
}

// Field is a header field and its lines.
type Field struct {
	Name  string
	Lines []string
}

// Store keeps answers. A nil Store keeps none. It is safe for concurrent use.
type Store struct {
	kept  *otter.Cache[place, *kept]
	seed  maphash.Seed
	reads Reads
	now   func() time.Time
	hits  atomic.Int64
}

// Reads tell whether they would give the same again; see [cache.Cache].
type Reads interface {
	Stands(m cache.Mark, now time.Time) bool
	Moment() cache.Moment
	Unchanged(m cache.Moment) bool
}

// place is where an answer is looked for. The seed of the hash is secret: nobody can choose requests
// of one hash, and if two have it one of them is not kept.
type place struct {
	caller cache.Caller
	hash   uint64
}

// kept is an answer with all of its request.
type kept struct {
	request []byte
	answer  *Answer
}

// What is kept beside the bytes, about: the answer and the store's node, and each mark.
const (
	overhead     = 800
	markOverhead = 120
)

func (k *kept) weight() uint32 {
	return uint32(min(overhead+len(k.request)+cap(k.answer.Body)+len(k.answer.Marks)*markOverhead, 1<<31-1)) //nolint:gosec // it fits
}

// New makes a store of about maxBytes that evicts what is least used.
func New(maxBytes uint64, reads Reads, now func() time.Time) (*Store, error) {
	s := &Store{seed: maphash.MakeSeed(), reads: reads, now: now}
	var err error
	s.kept, err = otter.New(&otter.Options[place, *kept]{
		MaximumWeight: maxBytes,
		Weigher:       func(_ place, k *kept) uint32 { return k.weight() },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[place, *kept]) time.Duration {
			return e.Value.answer.Freshness.FreshUntil.Sub(now())
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("answers: make the store: %w", err)
	}
	return s, nil
}

// Get returns what an equal request of the caller was answered with, if all that it shows would be
// read the same again now. The request is a text made by [AppendPart].
func (s *Store) Get(caller cache.Caller, request []byte, now time.Time) (*Answer, bool) {
	k := s.get(caller, request, now)
	if k == nil {
		return nil, false
	}
	return k.answer, true
}

func (s *Store) get(caller cache.Caller, request []byte, now time.Time) *kept {
	if s == nil || caller == (cache.Caller{}) || len(request) == 0 {
		return nil
	}
	k, ok := s.kept.GetIfPresent(s.place(caller, request))
	if !ok || !bytes.Equal(k.request, request) || !now.Before(k.answer.Freshness.FreshUntil) {
		return nil
	}
	for _, m := range k.answer.Marks {
		if !s.reads.Stands(m, now) {
			return nil
		}
	}
	s.hits.Add(1)
	return k
}

// Last is what a connection was given last: most of them ask the same again and again. The zero value
// is ready. It keeps no answer in memory.
type Last struct {
	caller cache.Caller
	kept   weak.Pointer[kept]
	moment cache.Moment
	until  time.Time
}

// lastFor is how long the store does not hear of what a connection asks again, and so cannot tell what
// is used from what is not.
const lastFor = time.Second

// GetAgain returns what Get does. If that is what was given last, and nothing has changed, it does so
// without looking for it.
func (s *Store) GetAgain(last *Last, caller cache.Caller, request []byte, now time.Time) (*Answer, bool) {
	if s == nil {
		return nil, false
	}
	if k := last.kept.Value(); k != nil && last.caller == caller && now.Before(last.until) &&
		s.reads.Unchanged(last.moment) && bytes.Equal(k.request, request) {
		s.hits.Add(1)
		return k.answer, true
	}
	moment := s.reads.Moment() // before the marks are checked
	k := s.get(caller, request, now)
	if k == nil {
		return nil, false
	}
	*last = Last{caller, weak.Make(k), moment, now.Add(lastFor)}
	if fresh := k.answer.Freshness.FreshUntil; fresh.Before(last.until) {
		last.until = fresh
	}
	return k.answer, true
}

// Hits is how many answers were given again since the start.
func (s *Store) Hits() int64 {
	if s == nil {
		return 0
	}
	return s.hits.Load()
}

// Size is how many answers are kept, and about how many bytes they take.
func (s *Store) Size() (entries int, bytes uint64) {
	if s == nil {
		return 0, 0
	}
	return s.kept.EstimatedSize(), s.kept.WeightedSize()
}

// Keep keeps an answer for as long as it is fresh. It does not keep the request's memory.
func (s *Store) Keep(caller cache.Caller, request []byte, a *Answer) {
	if s == nil || caller == (cache.Caller{}) || len(request) == 0 || !s.now().Before(a.Freshness.FreshUntil) {
		return
	}
	s.kept.Set(s.place(caller, request), &kept{bytes.Clone(request), a})
}

// Body is an answer's body, in memory that is little larger: one that was made where a larger one had
// been expected is copied.
func Body(made []byte) []byte {
	if cap(made)-len(made) > len(made)/4 {
		return bytes.Clone(made)
	}
	return made
}

// Close ends the store's goroutines.
func (s *Store) Close() {
	if s != nil {
		s.kept.StopAllGoroutines()
	}
}

func (s *Store) place(caller cache.Caller, request []byte) place {
	return place{caller, maphash.Bytes(s.seed, request)}
}

// AppendPart adds a part of a request to its text, with its length: no two lists of parts have one
// text.
func AppendPart[T ~string | ~[]byte](text []byte, part T) []byte {
	return append(binary.AppendUvarint(text, uint64(len(part))), part...)
}
