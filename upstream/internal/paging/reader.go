package paging

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
	// ErrPageGone is the error of a [ReadPage] for a page past the end of the list.
	ErrPageGone = errors.New("no such page")
	// ErrTooManyCalls is the error of a part that cannot be read in the calls allowed, because the list
	// changes too fast or its pages are too small.
	ErrTooManyCalls = errors.New("list needs too many calls")
	// ErrOrder is the error of a page that contradicts itself or what was asked for.
	ErrOrder = errors.New("page out of order")
)

// Query asks for First rows, at least one, in the order of their primary keys: newest first unless
// Oldest. After is the position to go on from, nil at the start of the list.
type Query struct {
	First    int
	Oldest   bool
	After    *Position
	MaxCalls int
}

// Position is a row and its offset when it was last seen. The offset is a hint, for rows come and go. The
// row itself may be gone.
type Position struct {
	Key    int32
	Offset int
}

// Page is one page of the list. Start is the offset of its first row, from 0, also if the page is empty.
// Count is of all rows of the list. Size is the page size in force, or 0 for the last page, which does not
// tell it.
//
// Rows are of one moment, Count of one just before: authentik counts, then selects. A deletion between the
// two leaves fewer rows than Count says. An insertion at the start between them pushes the last row of the
// list out of what was counted, and nothing shows that.
type Page[R any] struct {
	Rows               []R
	Start, Count, Size int
}

func (p *Page[R]) end() int   { return p.Start + len(p.Rows) }
func (p *Page[R]) last() bool { return p.end() >= p.Count }

// ReadPage asks for page number, from 1, of pages of size rows. The server may use another size.
type ReadPage[R any] func(ctx context.Context, size, number int) (Page[R], error)

// Part is the part of a list that was asked for. Offset is that of its first row, chosen such that the
// offset of its last row, from which the next query goes on, is as recent as can be. More reports whether
// rows follow.
type Part[R any] struct {
	Rows   []R
	Offset int
	Count  int
	More   bool
	Calls  int
}

// Read makes a part of a changing list out of pages at offsets. keyOf is a row's primary key.
//
// Call the boundary the place between the row to go on from and the next. A page that has rows on both
// sides of it, or starts the list, shows for certain what follows, because its rows are of one moment.
// Taking them moves the boundary to the page's last row, which the next page has to show again. Sizes are
// chosen so that pages overlap like this. Then neither changes between two calls matter nor where new rows
// come in: a row that lives through all calls is in its place in each page, so it is found, and only rows
// past the boundary are taken, so none comes twice.
//
// If the boundary's offset is a multiple of the page size, no page has rows on both sides. Where authentik
// allows no other size, two adjacent pages are joined, by how offsets can change between reading them:
//
//   - Oldest first, new rows come at the end, so that offsets only fall, by deletions. The later page is
//     read first. A row past the earlier page when that is read was so before, and thus in the later page
//     or past it. In the other order, a row could fall from the later page into the earlier one after that
//     was read.
//   - Newest first, new rows come at the start. The earlier page is read first. A row past it is missed if
//     it falls below the start of the later page, for which more rows before it must go than come. Count
//     is less then, and both pages are read again. Else offsets past the earlier page have grown or
//     stayed, which makes repeats, but no gaps.
//
// Each step costs a call, so MaxCalls bounds a search in a list that never stops changing.
func Read[R any](ctx context.Context, q Query, keyOf func(R) int32, read ReadPage[R]) (Part[R], error) {
	r := &pageReader[R]{Query: q, keyOf: keyOf, lastKey: math.MinInt, hi: math.MaxInt32, minSize: 1, maxSize: maxPage}
	if q.After != nil {
		r.lastKey = r.order(q.After.Key)
		r.hint = min(max(q.After.Offset, 0), math.MaxInt32-1) + 1
	}
	for !r.done() {
		if r.part.Calls >= q.MaxCalls {
			return Part[R]{}, ErrTooManyCalls
		}
		size, number := r.next()
		r.part.Calls++
		p, err := read(ctx, size, number)
		switch {
		case err == nil:
			if err := r.check(&p, size, number); err != nil {
				return Part[R]{}, err
			}
			r.use(&p)
		case errors.Is(err, ErrPageGone) && number > 1:
			r.pageGone((number - 1) * size)
		case errors.Is(err, ErrPageGone):
			return Part[R]{}, fmt.Errorf("%w: there is no first page", ErrOrder)
		default:
			return Part[R]{}, err
		}
	}
	// Rows that were deleted after they were read may leave fewer places than rows.
	r.part.Offset = max(0, r.lo-len(r.part.Rows))
	return r.part, nil
}

// pageReader is the state of reading one part.
type pageReader[R any] struct {
	Query
	keyOf func(R) int32
	part  Part[R]
	ended bool // the boundary is the end of the list

	lastKey          int // by order, of the row before the boundary
	hint             int // where the boundary should be: the offset of the first row past it
	lo, hi           int // where it can be, by the last pages; the list may have changed since
	misses           int // pages since the last that showed the boundary
	back             bool
	probe, first     bool // the present page is only to narrow lo and hi; the next is the first of all
	adjacent         bool // no page can have rows on both sides of hint
	minSize, maxSize int  // of pages, as far as known to be allowed

	// The last pages whose rows are all before the boundary, and all past it.
	before, after *numberedPage[R]
}

// numberedPage is a page and the number of the call that read it.
type numberedPage[R any] struct {
	Page[R]
	call int
}

func (r *pageReader[R]) done() bool { return r.ended || len(r.part.Rows) >= r.First }

// missing is how many rows are still to be read.
func (r *pageReader[R]) missing() int { return r.First - len(r.part.Rows) }

// order is a number that grows along the list.
func (r *pageReader[R]) order(key int32) int {
	if r.Oldest {
		return int(key)
	}
	return -int(key)
}

// next chooses a page: where the boundary should be; else beside that; else halfway between what is known
// to be before and past it, by the smallest pages, which cost least.
func (r *pageReader[R]) next() (size, number int) {
	reach := min(r.missing(), r.maxSize)
	r.probe, r.adjacent = true, false
	switch {
	case r.first:
		r.first = false
		return r.minSize, 1
	case r.misses == 0:
	case r.hi-r.lo <= reach || r.misses == 1 && !r.back:
		r.hint = r.lo
	case r.misses == 1:
		r.hint = r.hi - reach
	default:
		return r.minSize, (r.lo+(r.hi-r.lo)/2)/r.minSize + 1
	}
	r.probe = false
	return r.around(r.hint)
}

// around chooses the smallest page with the row before offset b and all that are missing from b on, or
// with as many of them as possible.
func (r *pageReader[R]) around(b int) (size, number int) {
	need, most := r.missing(), 0
	for s := r.minSize; s <= r.maxSize && b > 0 && most < need; s++ {
		if shown := s - b%s; shown < s && min(shown, need) > most {
			size, most = s, min(shown, need)
		}
	}
	if most > 0 {
		return size, b/size + 1
	}
	if b == 0 {
		return min(max(need, r.minSize), r.maxSize), 1
	}
	// b is between two pages, whatever their size.
	r.adjacent = true
	earlier := r.before == nil || r.before.end() < b
	if r.Oldest {
		earlier = r.after != nil && r.after.Start <= b
	}
	if earlier {
		return r.minSize, b / r.minSize
	}
	size = min(max(need, r.minSize), r.maxSize)
	return size, b/size + 1
}

// check refuses a page that contradicts itself, and learns which page sizes are allowed.
func (r *pageReader[R]) check(p *Page[R], asked, number int) error {
	n := len(p.Rows)
	if p.Start < 0 || p.Count < 0 || p.Count > math.MaxInt32 || p.Size < 0 || p.Size > math.MaxInt32 || n > p.Count-p.Start {
		return fmt.Errorf("%w: %d rows from %d on, of %d", ErrOrder, n, p.Start, p.Count)
	}
	size := p.Size
	if size == 0 {
		size = max(asked, n)
		if number > 1 {
			size = p.Start / (number - 1)
		}
	}
	if size < 1 || n > size || p.Start != (number-1)*size {
		return fmt.Errorf("%w: %d rows from %d on in page %d of %d each", ErrOrder, n, p.Start, number, size)
	}
	for i := 1; i < n; i++ {
		if a, b := r.keyOf(p.Rows[i-1]), r.keyOf(p.Rows[i]); r.order(a) >= r.order(b) {
			return fmt.Errorf("%w: row %d follows %d", ErrOrder, b, a)
		}
	}
	switch cmp.Compare(size, asked) {
	case -1:
		r.maxSize = size
		r.minSize = min(r.minSize, size)
	case +1:
		r.minSize = size
		r.maxSize = max(r.maxSize, size)
	}
	return nil
}

// use takes from a page the rows past the boundary, or learns from it where the boundary is.
func (r *pageReader[R]) use(p *Page[R]) {
	r.part.Count = p.Count
	numbered := &numberedPage[R]{*p, r.part.Calls}
	before := r.rowsBefore(p)
	missed := before == 0 && p.Start > 0 || before == len(p.Rows) && !p.last()
	if !r.probe {
		r.back = before == 0
	}
	if before == 0 && p.Start > 0 {
		r.after = numbered
		r.hi = p.Start
		if r.lo > r.hi {
			r.lo = 0
		}
	} else {
		r.accept(numbered)
	}
	if missed {
		r.misses++
	}
	r.joinAdjacent()
}

// joinAdjacent goes on with the page past the boundary if no row can be between it and the one before. It
// is for pages that cannot overlap; those that can overlap need no such argument.
func (r *pageReader[R]) joinAdjacent() {
	before, after := r.before, r.after
	if r.done() || !r.adjacent || before == nil || after == nil || before.end() < after.Start {
		return
	}
	switch {
	case r.Oldest && after.call < before.call, !r.Oldest && before.call < after.call && before.Count <= after.Count:
		r.after = nil
		if r.rowsBefore(&after.Page) < len(after.Rows) {
			r.accept(after)
		}
	case !r.Oldest && before.call < after.call:
		r.before = nil
	}
}

// accept takes the rows past the boundary from a page that has all of them up to its last row, and moves
// the boundary behind them.
func (r *pageReader[R]) accept(p *numberedPage[R]) {
	before := r.rowsBefore(&p.Page)
	rows := p.Rows[before:]
	rows = rows[:min(len(rows), r.missing())]
	r.lo = p.Start + before + len(rows)
	r.part.More = r.lo < p.Count
	r.ended = !r.part.More
	r.before = p
	r.hi = min(r.hi, p.Count)
	if len(rows) > 0 {
		r.part.Rows = append(r.part.Rows, rows...)
		r.lastKey = r.order(r.keyOf(rows[len(rows)-1]))
		r.hint, r.misses, r.hi = r.lo, 0, p.Count
	}
	if r.hi < r.lo {
		r.hi = p.Count
	}
}

// rowsBefore is the number of a page's rows before the boundary.
func (r *pageReader[R]) rowsBefore(p *Page[R]) int {
	n := 0
	for n < len(p.Rows) && r.order(r.keyOf(p.Rows[n])) <= r.lastKey {
		n++
	}
	return n
}

// pageGone handles a 404: the list has at most end rows. The first page tells how many, whatever the hint
// was, and the last of them are looked at next.
func (r *pageReader[R]) pageGone(end int) {
	r.hi = min(r.hi, end)
	r.lo = min(r.lo, r.hi)
	r.misses, r.back, r.first = 0, true, true
}
