package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"golang.org/x/sync/semaphore"
)

const (
	// maxBody caps an answer. authentik has no limit of its own: an attribute of 1 MB makes an answer
	// of 1 MB.
	maxBody = 4 << 20
	// smallBody is what a body may take outside the budget: a grant has some 3 kB. It is also all that is
	// read of an answer that is no 200 with JSON, and far more than is needed to classify one.
	smallBody = 64 << 10
	// largeBodies is the budget of all larger bodies together. It is less than what the process has
	// beside its cache, and four times maxBody, so that a slow one does not hold up all others.
	largeBodies = 16 << 20
)

var errTooLarge = errors.New("the answer is over the size cap")

// bodies reads the bodies of answers and bounds their memory. Without a bound, 64 calls that get huge
// answers would hold 64 times the cap, and as much again while their buffers grow.
type bodies struct{ budget *semaphore.Weighted }

func newBodies() bodies { return bodies{semaphore.NewWeighted(largeBodies)} }

// read reads the whole body of a 200 with JSON, and the beginning of any other. A body over the cap is
// errTooLarge, and is not read if its length is announced. The caller must call free after the last use of
// the body, even after an error.
func (b bodies) read(ctx context.Context, resp *http.Response) (body []byte, free func(), err error) {
	free = func() {}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, free, nil // its body is the connection, whose reads do not end with ctx
	}
	whole := resp.StatusCode == http.StatusOK && saysJSON(resp.Header)
	if whole && resp.ContentLength > maxBody {
		return nil, free, errTooLarge
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, smallBody))
	if err != nil || !whole || len(head) < smallBody {
		return head, free, err
	}
	// Calls that took the budget piece by piece would wait for each other when it is used up.
	size := resp.ContentLength
	if size < 0 {
		size = maxBody
	}
	if err := b.budget.Acquire(ctx, size); err != nil {
		return nil, free, err
	}
	// One byte more shows that a body is over the cap. MinRead more keeps the buffer from growing.
	buf := bytes.NewBuffer(make([]byte, 0, size+1+bytes.MinRead))
	buf.Write(head)
	_, err = buf.ReadFrom(io.LimitReader(resp.Body, size+1-smallBody))
	if buf.Len() > maxBody {
		err = errTooLarge
	}
	return buf.Bytes(), func() { b.budget.Release(size) }, err
}
