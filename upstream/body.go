package upstream

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"golang.org/x/sync/semaphore"
)

const (
	// maxBody caps an answer, decompressed. authentik has no limit of its own: an attribute of 1 MB makes an
	// answer of 1 MB.
	maxBody = 4 << 20
	// maxCompressed caps what arrives of a compressed one, which may be a little longer than what is in it, and far
	// longer if it consists of empty blocks.
	maxCompressed = maxBody + maxBody/64
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
// errTooLarge, and is not read if its length is announced. One that cannot be decompressed is errCoding. The
// caller must call free after the last use of the body, even after an error.
func (b bodies) read(ctx context.Context, resp *http.Response) (body []byte, free func(), err error) {
	free = func() {}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, free, nil // its body is the connection, whose reads do not end with ctx
	}
	whole := resp.StatusCode == http.StatusOK && saysJSON(resp.Header)
	plain, size, err := decompress(resp)
	switch {
	case err != nil:
		return nil, free, readError(err)
	case whole && size > maxBody:
		return nil, free, errTooLarge
	}
	head, err := io.ReadAll(io.LimitReader(plain, smallBody))
	if err != nil || !whole || len(head) < smallBody {
		return head, free, readError(err)
	}
	// Calls that took the budget piece by piece would wait for each other when it is used up.
	if size < 0 {
		size = maxBody
	}
	if err := b.budget.Acquire(ctx, size); err != nil {
		return nil, free, err
	}
	// One byte more shows that a body is over the cap. MinRead more keeps the buffer from growing.
	buf := bytes.NewBuffer(make([]byte, 0, size+1+bytes.MinRead))
	buf.Write(head)
	_, err = buf.ReadFrom(io.LimitReader(plain, size+1-smallBody))
	if buf.Len() > maxBody {
		err = errTooLarge
	}
	return buf.Bytes(), func() { b.budget.Release(size) }, readError(err)
}

// decompress returns what a body reads as, and its size, -1 if that is unknown. No call asks for a coding, but
// without Accept-Encoding a server may choose any (RFC 9110, section 12.5.3), and some proxies compress always.
func decompress(resp *http.Response) (plain io.Reader, size int64, err error) {
	coding := codingOf(resp.Header)
	if coding == "" {
		return resp.Body, resp.ContentLength, nil
	}
	in := bufio.NewReader(http.MaxBytesReader(nil, resp.Body, maxCompressed))
	begin, _ := in.Peek(2) // an error comes again with the next read
	if len(begin) == 0 {   // nothing, in any coding
		return in, -1, nil
	}
	switch coding {
	case "gzip", "x-gzip": // which mean the same (section 8.4.1.3)
		plain, err = gzip.NewReader(in)
	case "deflate": // is the format of zlib, but some servers send DEFLATE without it (section 8.4.1.2)
		if len(begin) == 2 && begin[0]&0xf == 8 && (int(begin[0])<<8|int(begin[1]))%31 == 0 { // RFC 1950, section 2.2
			plain, err = zlib.NewReader(in)
		} else {
			plain, err = flate.NewReader(in), nil
		}
	default:
		err = errCoding
	}
	return plain, -1, err
}

// codingOf returns the one coding of a body in lower case, "" for none. Several are a coding that is not read: what
// a small body decompresses to in between has no bound.
func codingOf(h http.Header) string {
	var codings []string
	for coding := range strings.SplitSeq(strings.Join(h["Content-Encoding"], ","), ",") {
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "" && coding != "identity" {
			codings = append(codings, coding)
		}
	}
	return strings.Join(codings, ", ")
}

// readError tells a body that is over the cap, or that cannot be decompressed, from one that broke.
func readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	if _, ok := errors.AsType[flate.CorruptInputError](err); ok {
		return errCoding
	}
	for _, corrupt := range []error{gzip.ErrHeader, gzip.ErrChecksum, zlib.ErrHeader, zlib.ErrChecksum, zlib.ErrDictionary} {
		if errors.Is(err, corrupt) {
			return errCoding
		}
	}
	return err
}
