package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
)

// maxPage is the largest page that is asked for: authentik's maximum since 2025.12.
const maxPage = 100

var (
	// errGone is a page past the end of the list: 404, "Invalid page.".
	errGone = errors.New("upstream: no such page")
	// ErrTooManyCalls is the cause of an error of a list that cannot be read in the calls allowed, because
	// it changes too fast or its pages are too small.
	ErrTooManyCalls = errors.New("upstream: list needs too many calls")
	// errOrder is a page that authentik does not give to this request.
	errOrder = errors.New("upstream: page out of order")
)

// Position is the row after which a list goes on, and its offset when it was seen: a hint, for
// rows come and go. The row itself may be gone.
type Position struct {
	PK     PK
	Offset int
}

// windowQuery asks for First rows, at least one, in the order of their primary keys: newest first
// unless Oldest. After is the position to go on from, nil at the start of the list.
type windowQuery struct {
	First    int
	Oldest   bool
	After    *Position
	MaxCalls int
}

// page is one page of authentik's. Start is the offset of its first row, from 0, also if it is empty;
// Count is of all rows that match; Size is the page size in force, 0 for the last page, which does
// not tell it.
//
// Rows are of one moment, Count is of one just before: authentik counts, then selects. A deletion
// between leaves fewer rows than there should be. What is inserted at the start between pushes the
// last row of all out of what was counted, and nothing shows that.
type page[R any] struct {
	Rows               []R
	Start, Count, Size int
}

func (p *page[R]) end() int   { return p.Start + len(p.Rows) }
func (p *page[R]) last() bool { return p.end() >= p.Count }

// readPage asks for page number, from 1, of pages of size rows, which authentik may change.
type readPage[R any] func(ctx context.Context, size, number int) (page[R], error)

// Window is the part of a list that was asked for. Offset is that of its first row, such that the
// one of its last row, which the next query goes on from, is as recent as can be. More tells
// whether rows follow.
type Window[R any] struct {
	Rows   []R
	Offset int
	Count  int
	More   bool
	Calls  int
}

// window makes a part of a list that changes out of pages at offsets: no row that lives as long as
// the reading is left out, and none comes twice.
//
// Call the boundary the place between the row to go on from and the next. A page that has rows on
// both sides of it, or starts the list, tells for certain what follows: its rows are of one moment.
// What it gives moves the boundary to its last row, and the next page has to show that one again.
// Sizes are chosen so that pages overlap like this, and then it does not matter what happens
// between two calls, nor where new rows come in. A row that lives through all of them is in its
// place in each page, so it is found; and only rows past the boundary are taken, so none comes
// twice.
//
// A page size of which the boundary's offset is a multiple cannot show both sides. If authentik
// allows no other, two pages that touch are joined, by what can happen to offsets between reading
// them:
//
//   - Oldest first, new rows come at the end, so that offsets only fall, by deletions. The later
//     page is read first. A row past the earlier page when that is read was so before, and thus in
//     the later page or past it. The other way round, a row could fall from the later page into the
//     earlier one after that was read.
//   - Newest first, new rows come at the start. The earlier page is read first. A row past it is
//     missed if it falls below the start of the later page, for which more rows before it must go
//     than come. Count is less then, and both pages are read again. Else offsets past the earlier
//     page have grown or stayed, which makes repeats, but no gaps.
//
// Every turn costs a call, so MaxCalls bounds a search in a list that never keeps still.
func window[R any](ctx context.Context, q windowQuery, pkOf func(R) PK, read readPage[R]) (Window[R], error) {
	w := &reading[R]{windowQuery: q, pkOf: pkOf, passed: math.MinInt, hi: math.MaxInt32, floor: 1, limit: maxPage}
	if q.After != nil {
		w.passed = w.key(q.After.PK)
		w.guess = min(max(q.After.Offset, 0), math.MaxInt32-1) + 1
	}
	for !w.done() {
		if w.out.Calls >= q.MaxCalls {
			return Window[R]{}, ErrTooManyCalls
		}
		size, number := w.next()
		w.out.Calls++
		p, err := read(ctx, size, number)
		switch {
		case err == nil:
			if err := w.check(&p, size, number); err != nil {
				return Window[R]{}, err
			}
			w.take(&p)
		case errors.Is(err, errGone) && number > 1:
			w.lost((number - 1) * size)
		case errors.Is(err, errGone):
			return Window[R]{}, fmt.Errorf("%w: there is no first page", errOrder)
		default:
			return Window[R]{}, err
		}
	}
	// Rows that were deleted since they were read may leave fewer places than rows.
	w.out.Offset = max(0, w.lo-len(w.out.Rows))
	return w.out, nil
}

// reading is the state of one window.
type reading[R any] struct {
	windowQuery
	pkOf  func(R) PK
	out   Window[R]
	ended bool // the boundary is the end of the list

	passed       int // key of the row before the boundary
	guess        int // where the boundary should be: the offset of the first row past it
	lo, hi       int // where it can be, by the last pages; the list may have changed since
	misses       int // pages since the last that showed the boundary
	back         bool
	probe, first bool // the page asked for is only to narrow lo and hi; the next is the first of all
	touching     bool // no page can have rows on both sides of guess
	floor, limit int  // page sizes that authentik allows, as far as known

	// The last pages whose rows are all before the boundary, and all past it.
	before, after *seen[R]
}

// seen is a page and the number of the call that read it.
type seen[R any] struct {
	page[R]
	call int
}

func (w *reading[R]) done() bool { return w.ended || len(w.out.Rows) >= w.First }

// key grows along the list.
func (w *reading[R]) key(pk PK) int {
	if w.Oldest {
		return int(pk)
	}
	return -int(pk)
}

// next chooses a page: where the boundary should be; else beside that, then halfway between what is
// known to be before and past it, by the smallest pages, which cost least.
func (w *reading[R]) next() (size, number int) {
	reach := min(w.First-len(w.out.Rows), w.limit)
	w.probe, w.touching = true, false
	switch {
	case w.first:
		w.first = false
		return w.floor, 1
	case w.misses == 0:
	case w.hi-w.lo <= reach || w.misses == 1 && !w.back:
		w.guess = w.lo
	case w.misses == 1:
		w.guess = w.hi - reach
	default:
		return w.floor, (w.lo+(w.hi-w.lo)/2)/w.floor + 1
	}
	w.probe = false
	return w.around(w.guess)
}

// around chooses the smallest page with the row before offset b and all that are missing from b on,
// or with as many of them as can be.
func (w *reading[R]) around(b int) (size, number int) {
	need := w.First - len(w.out.Rows)
	most := 0
	for s := w.floor; s <= w.limit && b > 0 && most < need; s++ {
		if shown := s - b%s; shown < s && min(shown, need) > most {
			size, most = s, min(shown, need)
		}
	}
	if most > 0 {
		return size, b/size + 1
	}
	if b == 0 {
		return min(max(need, w.floor), w.limit), 1
	}
	// b is between two pages, whatever their size.
	w.touching = true
	earlier := w.before == nil || w.before.end() < b
	if w.Oldest {
		earlier = w.after != nil && w.after.Start <= b
	}
	if earlier {
		return w.floor, b / w.floor
	}
	size = min(max(need, w.floor), w.limit)
	return size, b/size + 1
}

// check refuses pages that contradict themselves, and learns which page sizes authentik allows.
func (w *reading[R]) check(p *page[R], asked, number int) error {
	n := len(p.Rows)
	if p.Start < 0 || p.Count < 0 || p.Count > math.MaxInt32 || p.Size < 0 || p.Size > math.MaxInt32 || n > p.Count-p.Start {
		return fmt.Errorf("%w: %d rows from %d on, of %d", errOrder, n, p.Start, p.Count)
	}
	size := p.Size
	if size == 0 {
		size = max(asked, n)
		if number > 1 {
			size = p.Start / (number - 1)
		}
	}
	if size < 1 || n > size || p.Start != (number-1)*size {
		return fmt.Errorf("%w: %d rows from %d on in page %d of %d each", errOrder, n, p.Start, number, size)
	}
	for i := 1; i < n; i++ {
		if a, b := p.Rows[i-1], p.Rows[i]; w.key(w.pkOf(a)) >= w.key(w.pkOf(b)) {
			return fmt.Errorf("%w: row %s follows %s", errOrder, w.pkOf(b), w.pkOf(a))
		}
	}
	switch cmp.Compare(size, asked) {
	case -1:
		w.limit = size
		w.floor = min(w.floor, size)
	case +1:
		w.floor = size
		w.limit = max(w.limit, size)
	}
	return nil
}

// take learns from a page what it can.
func (w *reading[R]) take(p *page[R]) {
	w.out.Count = p.Count
	s := &seen[R]{*p, w.out.Calls}
	past := w.past(p)
	missed := past == 0 && p.Start > 0 || past == len(p.Rows) && !p.last()
	if !w.probe {
		w.back = past == 0
	}
	if past == 0 && p.Start > 0 {
		w.after = s
		w.hi = p.Start
		if w.lo > w.hi {
			w.lo = 0
		}
	} else {
		w.accept(s)
	}
	if missed {
		w.misses++
	}
	w.join()
}

// join goes on with the page past the boundary, if no row can be between it and the one before. It
// is for pages that cannot overlap: those that can need no such argument.
func (w *reading[R]) join() {
	before, after := w.before, w.after
	if w.done() || !w.touching || before == nil || after == nil || before.end() < after.Start {
		return
	}
	switch {
	case w.Oldest && after.call < before.call, !w.Oldest && before.call < after.call && before.Count <= after.Count:
		w.after = nil
		if w.past(&after.page) < len(after.Rows) {
			w.accept(after)
		}
	case !w.Oldest && before.call < after.call:
		w.before = nil
	}
}

// accept takes the rows past the boundary from a page that has all up to its last, and moves the
// boundary behind them.
func (w *reading[R]) accept(s *seen[R]) {
	past := w.past(&s.page)
	rows := s.Rows[past:]
	rows = rows[:min(len(rows), w.First-len(w.out.Rows))]
	w.lo = s.Start + past + len(rows)
	w.out.More = w.lo < s.Count
	w.ended = !w.out.More
	w.before = s
	w.hi = min(w.hi, s.Count)
	if len(rows) > 0 {
		w.out.Rows = append(w.out.Rows, rows...)
		w.passed = w.key(w.pkOf(rows[len(rows)-1]))
		w.guess, w.misses, w.hi = w.lo, 0, s.Count
	}
	if w.hi < w.lo {
		w.hi = s.Count
	}
}

// past is the number of a page's rows before the boundary.
func (w *reading[R]) past(p *page[R]) int {
	n := 0
	for n < len(p.Rows) && w.key(w.pkOf(p.Rows[n])) <= w.passed {
		n++
	}
	return n
}

// lost is told by a page that does not exist that there are at most end rows. The first page tells
// how many there are, whatever the hint was, and the last of them are looked at next.
func (w *reading[R]) lost(end int) {
	w.hi = min(w.hi, end)
	w.lo = min(w.lo, w.hi)
	w.misses, w.back, w.first = 0, true, true
}
