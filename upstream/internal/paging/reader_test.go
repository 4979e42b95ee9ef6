package paging

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// keyOf is the key of a row: the row itself.
func keyOf(key int32) int32 { return key }

// listing serves pages of a list as authentik does. Its rows are their keys.
type listing struct {
	pks    []int32 // ascending
	newest int32
	max    int            // page size, 0 for no maximum
	fixed  int            // page size, whatever is asked for; 0 for the one asked for
	mute   bool           // the last page does not tell its size
	change func(call int) // comes before each call
	race   func()         // comes between the counting and the selecting of each call

	calls []string // what was asked for, size/number
	clock int
	died  map[int32]int // the time, by clock, since when a row is gone
	born  map[int32]int
}

func newListing(n int) *listing {
	l := &listing{died: map[int32]int{}, born: map[int32]int{}}
	for range n {
		l.insert()
	}
	return l
}

func (l *listing) insert() {
	l.newest++
	l.add(l.newest)
}

func (l *listing) add(pk int32) {
	l.clock++
	l.born[pk] = l.clock
	i, _ := slices.BinarySearch(l.pks, pk)
	l.pks = slices.Insert(l.pks, i, pk)
}

func (l *listing) remove(pks ...int32) {
	for _, pk := range pks {
		if i, found := slices.BinarySearch(l.pks, pk); found {
			l.clock++
			l.died[pk] = l.clock
			l.pks = slices.Delete(l.pks, i, i+1)
		}
	}
}

// lived reports whether a row was there all the time from one moment to another.
func (l *listing) lived(pk int32, from, to int) bool {
	died := l.died[pk]
	return l.born[pk] > 0 && l.born[pk] <= from && (died == 0 || died > to)
}

// existed reports whether a row was there at some time.
func (l *listing) existed(pk int32, from, to int) bool {
	died := l.died[pk]
	return l.born[pk] > 0 && l.born[pk] <= to && (died == 0 || died > from)
}

func (l *listing) ordered(oldest bool) []int32 {
	rows := slices.Clone(l.pks)
	if !oldest {
		slices.Reverse(rows)
	}
	return rows
}

func (l *listing) read(q Query) (Part[int32], error) {
	l.calls = nil
	return Read(context.Background(), q, keyOf, func(_ context.Context, size, number int) (Page[int32], error) {
		l.calls = append(l.calls, fmt.Sprintf("%d/%d", size, number))
		if l.change != nil {
			l.change(len(l.calls))
		}
		switch {
		case size < 1 || number < 1:
			panic(fmt.Sprintf("page %d of %d rows each", number, size))
		case l.fixed > 0:
			size = l.fixed
		case l.max > 0:
			size = min(size, l.max)
		}
		p := Page[int32]{Start: (number - 1) * size, Count: len(l.pks), Size: size}
		if p.Start >= p.Count && number > 1 {
			return Page[int32]{}, ErrPageGone
		}
		if l.mute && p.Start+size >= p.Count {
			p.Size = 0
		}
		if l.race != nil {
			l.race()
		}
		rows := l.ordered(q.Oldest)
		end := min(p.Start+size, p.Count, len(rows))
		p.Rows = rows[min(p.Start, end):end]
		return p, nil
	})
}

// after is the position of a row, or where it would be.
func after(pk int32, offset int) *Position { return &Position{Key: pk, Offset: offset} }

func TestRead(t *testing.T) {
	span := func(from, to int32) (pks []int32) {
		for pk := from; pk != to; pk += max(-1, min(1, to-pk)) {
			pks = append(pks, pk)
		}
		return append(pks, to)
	}
	type changes map[int]func(*listing)
	for name, test := range map[string]struct {
		rows    int // 1 to rows
		gone    []int32
		max     int
		fixed   int
		changes changes // before calls
		query   Query
		want    []int32
		offset  int
		more    bool
		calls   string // size/number of each
	}{
		"empty":               {query: Query{First: 10}, calls: "10/1"},
		"empty after a row":   {query: Query{First: 10, After: after(5, 0)}, calls: "11/1"},
		"fewer than asked":    {rows: 3, query: Query{First: 10}, want: span(3, 1), calls: "10/1"},
		"as many as asked":    {rows: 10, query: Query{First: 10}, want: span(10, 1), calls: "10/1"},
		"half":                {rows: 20, query: Query{First: 10}, want: span(20, 11), more: true, calls: "10/1"},
		"the other half":      {rows: 20, query: Query{First: 10, After: after(11, 9)}, want: span(10, 1), offset: 10, calls: "20/1"},
		"oldest":              {rows: 30, query: Query{Oldest: true, First: 10}, want: span(1, 10), more: true, calls: "10/1"},
		"oldest go on":        {rows: 30, query: Query{Oldest: true, First: 10, After: after(10, 9)}, want: span(11, 20), offset: 10, more: true, calls: "20/1"},
		"a hundred":           {rows: 150, query: Query{First: 100}, want: span(150, 51), more: true, calls: "100/1"},
		"a hundred more":      {rows: 250, query: Query{First: 100, After: after(151, 99)}, want: span(150, 51), offset: 100, more: true, calls: "99/2 4/50"},
		"after the last":      {rows: 20, query: Query{First: 10, After: after(1, 19)}, offset: 20, calls: "15/2"},
		"anchor gone":         {rows: 30, gone: span(10, 10), query: Query{Oldest: true, First: 5, After: after(10, 9)}, want: span(11, 15), offset: 9, more: true, calls: "8/2"},
		"rest gone":           {rows: 30, gone: span(10, 30), query: Query{Oldest: true, First: 5, After: after(10, 9)}, offset: 9, calls: "8/2"},
		"rest and page gone":  {rows: 30, gone: span(4, 30), query: Query{Oldest: true, First: 5, After: after(10, 9)}, offset: 3, calls: "8/2 1/1 6/1"},
		"all before gone":     {rows: 30, gone: span(1, 10), query: Query{Oldest: true, First: 5, After: after(10, 9)}, want: span(11, 15), more: true, calls: "8/2 8/1"},
		"all but ends gone":   {rows: 90, gone: span(1, 80), query: Query{Oldest: true, First: 5, After: after(80, 79)}, want: span(81, 85), more: true, calls: "11/8 1/1 5/1"},
		"list shrank":         {rows: 90, gone: span(1, 60), query: Query{Oldest: true, First: 5, After: after(80, 79)}, want: span(81, 85), offset: 20, more: true, calls: "11/8 1/1 6/5 1/13 1/19 6/4 5/5"},
		"all gone":            {rows: 90, gone: span(1, 90), query: Query{First: 5, After: after(80, 79)}, calls: "11/8 1/1"},
		"moved a little on":   {rows: 90, query: Query{First: 5, After: after(60, 20)}, want: span(59, 55), offset: 31, more: true, calls: "9/3 8/4 6/6"},
		"moved a little back": {rows: 90, gone: span(1, 3), query: Query{Oldest: true, First: 5, After: after(60, 59)}, want: span(61, 65), offset: 57, more: true, calls: "11/6"},
		"moved far":           {rows: 900, query: Query{First: 5, After: after(60, 20)}, want: span(59, 55), offset: 841, more: true, calls: "9/3 8/4 1/467 1/684 1/793 1/847 1/820 1/834 1/841 6/141"},
		"absurd hint":         {rows: 90, query: Query{First: 5, After: after(60, math.MaxInt)}, want: span(59, 55), offset: 31, more: true, calls: "6/357913942 1/1 6/15 1/43 1/22 1/33 1/28 9/4"},
		"negative hint":       {rows: 90, query: Query{First: 5, After: after(90, math.MinInt)}, want: span(89, 85), offset: 1, more: true, calls: "6/1"},
		"clipped to 1":        {rows: 5, max: 1, query: Query{First: 3}, want: span(5, 3), more: true, calls: "3/1 1/2 1/3"},
		"oldest clipped to 1": {rows: 5, max: 1, query: Query{Oldest: true, First: 3}, want: span(1, 3), more: true, calls: "3/1 1/2 1/1 1/3 1/2"},
		"go on clipped to 1":  {rows: 5, max: 1, query: Query{First: 2, After: after(4, 1)}, want: span(3, 2), offset: 2, more: true, calls: "4/1 1/2 1/4 1/3 1/4"},
		"clipped to 7":        {rows: 50, max: 7, query: Query{First: 20, After: after(40, 10)}, want: span(39, 20), offset: 11, more: true, calls: "31/1 6/2 5/3 7/3 5/5 6/5 4/8"},
		"clipped to 20":       {rows: 150, max: 20, query: Query{First: 100}, want: span(150, 51), more: true, calls: "100/1 19/2 18/3 17/4 16/5 19/5 10/10"},
		"always 20":           {rows: 150, fixed: 20, query: Query{First: 50, After: after(131, 19)}, want: span(130, 81), offset: 20, more: true, calls: "70/1 19/2 20/2 20/3 20/4"},
		"oldest always 20":    {rows: 150, fixed: 20, query: Query{Oldest: true, First: 50, After: after(20, 19)}, want: span(21, 70), offset: 20, more: true, calls: "70/1 19/2 20/1 20/3 20/2 20/4 20/3"},
		"between pages":       {rows: 5, max: 2, query: Query{First: 2, After: after(4, 1)}, want: span(3, 2), offset: 2, more: true, calls: "4/1 2/2"},
		"oldest between pages": {rows: 5, max: 2, query: Query{Oldest: true, First: 2, After: after(2, 1)}, want: span(3, 4), offset: 2, more: true,
			calls: "4/1 2/2 1/2"},
		"count fell": {rows: 6, max: 1, changes: changes{2: func(l *listing) { l.remove(6) }}, query: Query{First: 3}, want: span(6, 4), offset: 0, more: true, calls: "3/1 1/2 1/1 1/2"},
		"one came, one went": {rows: 6, max: 1, changes: changes{2: func(l *listing) { l.insert(); l.remove(6) }}, query: Query{First: 3}, want: span(6, 4), offset: 0, more: true,
			calls: "3/1 1/2 1/3"},
		"rows came":            {rows: 250, changes: changes{2: func(l *listing) { l.insert() }}, query: Query{First: 100, After: after(151, 99)}, want: span(150, 51), offset: 101, more: true, calls: "99/2 4/50 3/67"},
		"rows came at end":     {rows: 4, max: 2, changes: changes{2: func(l *listing) { l.insert() }}, query: Query{Oldest: true, First: 10}, want: span(1, 5), calls: "10/1 2/2 1/2 2/3 1/4"},
		"lost in larger pages": {rows: 400, fixed: 20, query: Query{Oldest: true, First: 5, After: after(390, 150)}, want: span(391, 395), offset: 390, more: true, calls: "6/26 1/1 20/8 20/15 20/18 20/20"},
		"earlier page is ahead": {rows: 4, fixed: 3, changes: changes{3: func(l *listing) { l.remove(1, 2, 3); l.insert(); l.insert(); l.insert() }},
			query: Query{Oldest: true, First: 4, After: after(3, 2)}, want: span(4, 7), calls: "7/1 2/2 3/1 3/2 3/1"},
		"late rows": {rows: 60, gone: span(5, 11), max: 20, query: Query{First: 30}, want: span(60, 31), more: true, calls: "30/1 15/2 15/1 12/2",
			changes: changes{2: func(l *listing) {
				l.remove(span(52, 58)...)
				for pk := range int32(7) {
					l.add(5 + pk)
				}
			}}},
		"gone in the middle":  {rows: 120, changes: changes{2: func(l *listing) { l.remove(span(1, 100)...) }}, query: Query{Oldest: true, First: 100, After: after(10, 9)}, want: span(11, 110), more: true, calls: "100/1 11/10 1/1 10/1"},
		"ended in the middle": {rows: 4, max: 2, changes: changes{2: func(l *listing) { l.remove(1, 2) }}, query: Query{First: 10}, want: span(4, 3), calls: "10/1 2/2 1/1 2/1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListing(test.rows)
			l.remove(test.gone...)
			l.max, l.fixed = test.max, test.fixed
			l.change = func(call int) {
				if change := test.changes[call]; change != nil {
					change(l)
				}
			}
			test.query.MaxCalls = 50
			got, err := l.read(test.query)
			calls := strings.Join(l.calls, " ")
			if err != nil || !slices.Equal(got.Rows, test.want) || got.Offset != test.offset || got.More != test.more || got.Count != len(l.pks) {
				t.Errorf("part %+v, %v; want rows %v from %d on, more: %t, of %d; calls %s", got, err, test.want, test.offset, test.more, len(l.pks), calls)
			}
			if calls != test.calls || got.Calls != len(l.calls) {
				t.Errorf("calls %q, want %q; counted %d", calls, test.calls, got.Calls)
			}
		})
	}
}

// key grows along the list.
func (q Query) key(pk int32) int {
	if q.Oldest {
		return int(pk)
	}
	return -int(pk)
}

// checkPart checks a part that was read between two moments.
func checkPart(l *listing, q Query, w Part[int32], from, to int) error {
	last, given := math.MinInt, map[int32]bool{}
	if q.After != nil {
		last = q.key(q.After.Key)
	}
	start := last
	for _, pk := range w.Rows {
		if q.key(pk) <= last {
			return fmt.Errorf("row %d is repeated or out of order", pk)
		}
		if !l.existed(pk, from, to) {
			return fmt.Errorf("row %d was not there", pk)
		}
		last, given[pk] = q.key(pk), true
	}
	more := false
	for pk := int32(1); pk <= l.newest; pk++ {
		if k := q.key(pk); k > start && (k < last || !w.More) && !given[pk] && l.lived(pk, from, to) {
			return fmt.Errorf("row %d is left out", pk)
		}
		more = more || q.key(pk) > last && l.existed(pk, from, to)
	}
	switch {
	case len(w.Rows) > q.First, w.More && (len(w.Rows) < q.First || !more && l.race == nil):
		return fmt.Errorf("%d rows, more: %t; wanted %d", len(w.Rows), w.More, q.First)
	case w.Calls != len(l.calls):
		return fmt.Errorf("%d calls were %d", w.Calls, len(l.calls))
	case from < to:
		return nil
	}
	rows := l.ordered(q.Oldest)
	first := 0
	for first < len(rows) && q.key(rows[first]) <= start {
		first++
	}
	if end := min(len(rows), first+q.First); !slices.Equal(w.Rows, rows[first:end]) || w.Offset != first || w.Count != len(rows) || w.More != (end < len(rows)) {
		return fmt.Errorf("nothing changed: want %v from %d on", rows[first:end], first)
	}
	return nil
}

// TestWalks checks that a walk through a list by cursors gives each row that exists throughout exactly once,
// and that each part is right.
func TestWalks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newListing(rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(25, 75)).Draw(t, "rows"))
		oldest := rapid.Bool().Draw(t, "oldest")
		size := rapid.SampledFrom([]int{0, 0, 1, 2, 3, 4, 7, 20}).Draw(t, "size")
		l.mute = rapid.Bool().Draw(t, "mute")
		if rapid.IntRange(0, 3).Draw(t, "fixed") == 0 {
			l.fixed = size
		} else {
			l.max = size
		}
		rows := rapid.SampledFrom([][2]int{{1, 4}, {5, 20}, {21, 100}}).Draw(t, "rows in a part")
		left := rapid.SampledFrom([]int{0, 5, 40}).Draw(t, "changes") // a bound, so that the walk ends
		inserts := rapid.SampledFrom([]int{0, 2, 4, 6, 8}).Draw(t, "inserts")
		// Overlapping pages tolerate more: rows that appear late, among older ones, because transactions end
		// in any order; and changes between authentik's counting and selecting, except for new rows that
		// push the last row of the list out of what was counted.
		overlap := l.fixed == 0 && (size == 0 || size >= 20)
		late := func() bool {
			for pk := range l.newest {
				if pk > 0 && l.born[pk] == 0 && rapid.Bool().Draw(t, "late") {
					l.add(pk)
					return true
				}
			}
			return false
		}
		change := func(mayBeLate bool) {
			for left > 0 && rapid.IntRange(0, 2).Draw(t, "change") > 0 {
				left--
				switch n := len(l.pks); {
				case n > 0 && rapid.IntRange(0, 7).Draw(t, "insert") >= inserts:
					l.remove(l.pks[rapid.IntRange(0, n-1).Draw(t, "delete")])
				case inserts > 0 && !(mayBeLate && late()):
					if mayBeLate && rapid.Bool().Draw(t, "leave room") {
						l.newest++
					}
					l.insert()
				}
			}
		}
		l.change = func(int) { change(overlap) }
		if overlap && (oldest || inserts == 0) {
			l.race = func() { change(false) }
		}
		q := Query{Oldest: oldest, MaxCalls: 500}
		start, given := l.clock, map[int32]bool{}
		for more := true; more; {
			q.First = rapid.IntRange(rows[0], rows[1]).Draw(t, "first")
			from := l.clock
			w, err := l.read(q)
			if err == nil {
				err = checkPart(l, q, w, from, l.clock)
			}
			if err != nil {
				t.Fatalf("%v: %+v is %+v; calls %v", err, q, w, l.calls)
			}
			for i, pk := range w.Rows {
				if given[pk] {
					t.Fatalf("row %d comes twice", pk)
				}
				given[pk] = true
				q.After = &Position{pk, w.Offset + i}
			}
			more = w.More
			if more && rapid.IntRange(0, 7).Draw(t, "bad hint") == 0 {
				q.After.Offset = rapid.OneOf(rapid.IntRange(-2, 100), rapid.Int()).Draw(t, "hint")
			}
			change(overlap)
		}
		for pk := int32(1); pk <= l.newest; pk++ {
			if !given[pk] && l.lived(pk, start, l.clock) {
				t.Fatalf("row %d is left out of the walk", pk)
			}
		}
	})
}

// explore runs a function for every sequence of choices that it can make.
func explore(run func(choose func(n int) int)) {
	type choice struct{ made, of int }
	var path []choice
	for {
		step := 0
		run(func(n int) int {
			if step == len(path) {
				path = append(path, choice{0, n})
			}
			step++
			return path[step-1].made
		})
		for len(path) > 0 && path[len(path)-1].made == path[len(path)-1].of-1 {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return
		}
		path[len(path)-1].made++
	}
}

// TestReadExhaustive makes every change to short lists of small pages.
func TestReadExhaustive(t *testing.T) {
	for _, world := range []struct{ rows, changes int }{{6, 1}, {4, 2}, {2, 3}} {
		parts := 0
		explore(func(choose func(n int) int) {
			l := newListing(choose(world.rows + 1))
			q := Query{First: 1 + choose(4), Oldest: choose(2) == 0, MaxCalls: 100}
			if size := 1 + choose(4); choose(2) == 0 {
				l.max = size
			} else {
				l.fixed = size
			}
			if anchor := choose(len(l.pks) + 1); anchor > 0 {
				hints := []int{anchor - 1, 0, world.rows + 3}
				if !q.Oldest {
					hints[0] = len(l.pks) - anchor
				}
				q.After = after(int32(anchor), hints[choose(len(hints))])
			}
			left := world.changes
			l.change = func(int) {
				if left == 0 {
					return
				}
				switch n := choose(len(l.pks) + 2); n {
				case 0:
					return
				case 1:
					l.insert()
				default:
					l.remove(l.pks[n-2])
				}
				left--
			}
			from := l.clock
			w, err := l.read(q)
			if err == nil {
				err = checkPart(l, q, w, from, l.clock)
			}
			if err != nil {
				t.Fatalf("%v: %+v after %+v of %+v is %+v", err, q, q.After, l, w)
			}
			parts++
		})
		t.Logf("lists of up to %d rows, %d changes: %d parts", world.rows, world.changes, parts)
	}
}

// TestReadCost checks that one call reads what follows a row that has not moved, or two if no page holds both.
func TestReadCost(t *testing.T) {
	l := newListing(300)
	for first := 1; first <= 100; first++ {
		for offset := range len(l.pks) - first {
			want, smallest := 2, ""
			for size := first + 1; size <= 100; size++ {
				if offset/size == (offset+first)/size {
					want, smallest = 1, fmt.Sprintf("%d/%d", size, offset/size+1)
					break
				}
			}
			w, err := l.read(Query{First: first, Oldest: true, After: after(int32(offset+1), offset), MaxCalls: 2})
			if err != nil || w.Calls != want || len(w.Rows) != first || want == 1 && l.calls[0] != smallest {
				t.Fatalf("%d rows after %d: calls %v, want %d (%s), %v", first, offset, l.calls, want, smallest, err)
			}
		}
	}
}

// TestSearchCost checks that a row is found from any hint in as many calls as a bisection takes.
func TestSearchCost(t *testing.T) {
	l := newListing(1000)
	most := 0
	for pk := int32(1); pk <= 1000; pk += 37 {
		for hint := -1; hint < 1200; hint += 13 {
			w, err := l.read(Query{First: 20, Oldest: true, After: after(pk, hint), MaxCalls: 11})
			if err != nil || w.Offset != int(pk) {
				t.Fatalf("row %d from %d: offset %d, %v; calls %v", pk, hint, w.Offset, err, l.calls)
			}
			most = max(most, w.Calls)
		}
	}
	t.Logf("%d calls at most", most)
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("broken")
	type p = Page[int32]
	for name, test := range map[string]struct {
		pages []p // the last again and again
		err   error
		want  error
		calls int
	}{
		"repeated row":      {pages: []p{{Rows: []int32{3, 3}, Count: 2}}, want: ErrOrder, calls: 1},
		"oldest first":      {pages: []p{{Rows: []int32{3, 4}, Count: 2}}, want: ErrOrder, calls: 1},
		"more than count":   {pages: []p{{Rows: []int32{4, 3}, Count: 1}}, want: ErrOrder, calls: 1},
		"more than size":    {pages: []p{{Rows: []int32{4, 3}, Count: 2, Size: 1}}, want: ErrOrder, calls: 1},
		"other page":        {pages: []p{{Rows: []int32{4, 3}, Start: 2, Count: 9, Size: 2}}, want: ErrOrder, calls: 1},
		"start in a page":   {pages: []p{{Rows: []int32{4, 3}, Start: 1, Count: 9}}, want: ErrOrder, calls: 1},
		"negative start":    {pages: []p{{Rows: []int32{4, 3}, Start: -1, Count: 9}}, want: ErrOrder, calls: 1},
		"negative count":    {pages: []p{{Count: -1}}, want: ErrOrder, calls: 1},
		"page ignored":      {pages: []p{{Rows: []int32{4, 3}, Count: 9, Size: 2}}, want: ErrOrder, calls: 2},
		"first page again":  {pages: []p{{Rows: []int32{4, 3}, Count: 9, Size: 2}, {}}, want: ErrOrder, calls: 2},
		"first page always": {pages: []p{{Rows: []int32{4, 3}, Count: 9}}, want: ErrOrder, calls: 4},
		"first page gone":   {err: ErrPageGone, want: ErrOrder, calls: 1},
		"other error":       {err: broken, want: broken, calls: 1},
		"error later":       {pages: []p{{Rows: []int32{4, 3}, Count: 9, Size: 2}}, err: broken, want: broken, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			w, err := Read(context.Background(), Query{First: 5, MaxCalls: 5}, keyOf, func(context.Context, int, int) (p, error) {
				calls++
				if calls > len(test.pages) && test.err != nil {
					return p{}, test.err
				}
				return test.pages[min(calls, len(test.pages))-1], nil
			})
			if !errors.Is(err, test.want) || test.err == test.want && err != test.want || w.Rows != nil || calls != test.calls {
				t.Errorf("%v after %d calls, %+v; want %v after %d", err, calls, w, test.want, test.calls)
			}
		})
	}
}

// TestReadChurn has a list that changes so fast that no page shows where to go on.
func TestReadChurn(t *testing.T) {
	for _, maxCalls := range []int{0, 1, 20} {
		l := newListing(1000)
		l.max = 1
		l.change = func(int) { l.remove(l.pks[len(l.pks)-5:]...) }
		w, err := l.read(Query{First: 3, After: after(500, 500), MaxCalls: maxCalls})
		if err != ErrTooManyCalls || w.Rows != nil || len(l.calls) != maxCalls {
			t.Errorf("%+v, %v after %d calls, want %v after %d", w, err, len(l.calls), ErrTooManyCalls, maxCalls)
		}
	}
}

// FuzzRead checks that with any pages reading ends within MaxCalls and gives rows in order.
func FuzzRead(f *testing.F) {
	f.Add([]byte{5, 1, 0, 0, 10, 2, 0, 3, 3, 9, 2, 5, 1, 1})
	f.Add([]byte{100, 0, 7, 3, 20, 0})
	f.Add([]byte("\x03\x03\x20\x05\x64\x10\x02\x09\x03\x09\x10\x02\x09\x03\x09\x10\x02\x09\x03\x09"))
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			switch { // small numbers mostly, and some that overflow
			case b >= 250:
				return math.MaxInt - int(255-b)
			case b >= 240:
				return math.MaxInt32 - int(b-245)
			case b >= 230:
				return math.MinInt + int(b-230)
			}
			return int(b) - 2
		}
		q := Query{First: next(), Oldest: next()%2 == 0, MaxCalls: 50}
		if pk := next(); pk > 0 {
			q.After = after(int32(pk), next())
		}
		calls := 0
		w, err := Read(context.Background(), q, keyOf, func(_ context.Context, size, number int) (Page[int32], error) {
			calls++
			if size < 1 || number < 1 {
				t.Fatalf("page %d of %d rows each", number, size)
			}
			var p Page[int32]
			switch kind := next(); {
			case kind%8 == 7:
				return p, ErrPageGone
			case kind%8 == 6: // any page
				p.Start, p.Count, p.Size = next(), next(), next()
			default: // a likely one, of any size
				p.Size = size
				if n := next(); n > 0 && n < 100 {
					p.Size = n
				}
				p.Start, p.Count = (number-1)*p.Size, (number-1)*p.Size+next()
				if kind%2 == 0 {
					p.Size = 0
				}
			}
			pk := int32(next())
			for range min(max(next(), 0), 200) {
				p.Rows = append(p.Rows, pk)
				if q.Oldest {
					pk += int32(next()%3 + 1)
				} else {
					pk -= int32(next()%3 + 1)
				}
			}
			return p, nil
		})
		switch {
		case calls > q.MaxCalls:
			t.Fatalf("%d calls", calls)
		case err != nil && !errors.Is(err, ErrTooManyCalls) && !errors.Is(err, ErrOrder):
			t.Fatal(err)
		case err != nil && w.Rows != nil, len(w.Rows) > max(q.First, 0), w.Offset < 0, w.Count < 0:
			t.Fatalf("%+v, %v", w, err)
		}
		last := math.MinInt
		if q.After != nil {
			last = q.key(q.After.Key)
		}
		for _, pk := range w.Rows {
			if q.key(pk) <= last {
				t.Fatalf("row %d is repeated or out of order", pk)
			}
			last = q.key(pk)
		}
	})
}
