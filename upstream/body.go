package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// maxBody caps an answer. authentik has no limit of its own: an attribute of 1 MB makes an answer
	// of 1 MB.
	maxBody = 4 << 20
	// smallBody is what a body may take outside the budget: a grant has some 3 kB. It is also all that is
	// read of an answer that is no 200 with JSON, and far more than is needed to classify one.
	smallBody = 64 << 10
	// keptBuffer is the largest buffer of a small body that is kept for reuse. Most are much smaller, and
	// as many can be idle as calls ran at once.
	keptBuffer = 16 << 10
	// largeBodies is the budget of all larger bodies together. It is less than what the process has
	// beside its cache, and four times maxBody, so that a slow one does not hold up all others.
	largeBodies = 16 << 20
)

var errTooLarge = errors.New("the answer is over the size cap")

// bodies reads the bodies of answers and bounds their memory. Without a bound, 64 calls that get huge
// answers would hold 64 times the cap, and as much again while their buffers grow.
type bodies struct {
	budget *semaphore.Weighted
	// small has buffers for bodies up to smallBody. Large has buffers of maxBody for bodies of unknown
	// length; the budget bounds how many are in use. The garbage collector frees idle ones.
	small, large sync.Pool
}

func newBodies() *bodies {
	return &bodies{
		budget: semaphore.NewWeighted(largeBodies),
		small:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
		// One byte more shows that a body is over the cap. MinRead more keeps the buffer from growing.
		large: sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, maxBody+1+bytes.MinRead)) }},
	}
}

// read reads the whole body of a 200 with JSON, and the beginning of any other. A body over the cap is
// errTooLarge, and is not read if its length is announced. Even after an error the body may be used until
// free is called, and the caller must call free.
func (b *bodies) read(ctx context.Context, resp *http.Response) (body []byte, free func(), err error) {
	free = func() {}
	limit := int64(smallBody)
	if resp.StatusCode == http.StatusOK && saysJSON(resp.Header) {
		limit = maxBody
		if resp.ContentLength > limit {
			return nil, free, errTooLarge
		}
	}
	n := min(resp.ContentLength, limit)
	if n > smallBody {
		if err := b.budget.Acquire(ctx, n); err != nil {
			return nil, free, err
		}
		body = make([]byte, n)
		got, err := io.ReadFull(resp.Body, body)
		return body[:got], func() { b.budget.Release(n) }, err
	}
	buf := b.small.Get().(*bytes.Buffer)
	free = func() {
		if buf.Cap() <= keptBuffer {
			b.small.Put(buf)
		}
	}
	buf.Reset()
	buf.Grow(max(int(n), 0) + bytes.MinRead) // ReadFrom wants MinRead more, or the buffer grows at the end
	_, err = buf.ReadFrom(io.LimitReader(resp.Body, smallBody))
	if err != nil || n > 0 || buf.Len() < smallBody || limit == smallBody {
		return buf.Bytes(), free, err
	}
	return b.readLarge(ctx, buf.Bytes(), resp.Body)
}

// readLarge reads on after head. It takes the whole cap from the budget at once: calls that took it
// piece by piece would wait for each other when it is used up.
func (b *bodies) readLarge(ctx context.Context, head []byte, rest io.Reader) (body []byte, free func(), err error) {
	if err := b.budget.Acquire(ctx, maxBody); err != nil {
		return nil, func() {}, err
	}
	buf := b.large.Get().(*bytes.Buffer)
	free = func() {
		b.large.Put(buf)
		b.budget.Release(maxBody)
	}
	buf.Reset()
	buf.Write(head)
	_, err = buf.ReadFrom(io.LimitReader(rest, int64(maxBody+1-len(head))))
	if buf.Len() > maxBody {
		err = errTooLarge
	}
	return buf.Bytes(), free, err
}
