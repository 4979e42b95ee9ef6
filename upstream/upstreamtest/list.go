package upstreamtest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// collection answers for a list of grants.
func (a *Authentik) collection(r *http.Request, resource Resource, caller *user) reply {
	if refusal := refuse(r.Method, resource, caller); refusal != "" {
		return a.detail(http.StatusForbidden, allowList, refusal)
	}
	switch r.Method {
	case http.MethodOptions:
		return a.metadata(allowList, resource, "List")
	case http.MethodGet, http.MethodHead:
	default:
		return a.notAllowed(r.Method, allowList)
	}
	q := r.URL.Query()
	keep, wrong := a.filters(q)
	if len(wrong) > 0 {
		return a.json(http.StatusBadRequest, allowList, wrong)
	}
	rows := a.rows(resource, func(r row) bool { return visible(r, caller) && keep(r) })
	sort(rows, a.world.comparisons(), last(q, "ordering"), "provider,expires")
	p, ok := paginate(a.options, q, len(rows))
	if !ok {
		return a.detail(http.StatusNotFound, allowList, textInvalidPage)
	}
	rows = rows[p.first:p.end]
	if slices.ContainsFunc(rows, a.unprintable) {
		return page(r.Method, http.StatusInternalServerError)
	}
	format := a.format(r)
	return a.page(allowList, p, each(rows, func(r row) object { return format.row(resource, r) }))
}

// page writes one page of a list.
func (a *Authentik) page(allow string, p pageOf, results []object) reply {
	body := object{{"pagination", p.object()}, {"results", results}}
	body.addIf(a.options.Release.from(R2025_8), "autocomplete", object{})
	return a.json(http.StatusOK, allow, body)
}

// filters reads the two filters. A value that names nothing that exists is an
// error, not an empty list; all errors are told at once.
func (a *Authentik) filters(q url.Values) (keep func(row) bool, wrong object) {
	keep = func(row) bool { return true }
	if value := last(q, "user"); value != "" {
		n, _ := parseInt(value) // 0, if it does not parse, is no user
		u := a.world.user(func(u *user) bool { return int64(u.pk) == n })
		if u == nil {
			wrong.add("user", []string{textInvalidChoice})
		} else {
			keep = func(r row) bool { return r.Owner == u.username }
		}
	}
	if value := last(q, "provider"); value != "" {
		n, _ := parseInt(value) // 0, if it does not parse, is no provider
		if p := a.provider(n); p == nil {
			wrong.add("provider", []string{textInvalidChoice})
		} else {
			byUser := keep
			keep = func(r row) bool { return byUser(r) && r.Provider == p.pk }
		}
	}
	return keep, wrong
}

// sort orders rows that are sorted by id. Terms that are not known are ignored
// one by one; with none left the usual order is taken.
func sort[T any](rows []T, known map[string]func(x, y T) int, ordering, usual string) {
	terms := termsOf(known, ordering)
	if len(terms) == 0 {
		terms = termsOf(known, usual)
	}
	slices.SortStableFunc(rows, func(x, y T) int {
		for _, term := range terms {
			if c := term(x, y); c != 0 {
				return c
			}
		}
		return 0
	})
}

// comparisons are the terms by which grants are ordered.
func (w *world) comparisons() map[string]func(x, y row) int {
	return map[string]func(x, y row) int{
		"pk":       func(x, y row) int { return cmp.Compare(x.PK, y.PK) },
		"provider": func(x, y row) int { return cmp.Compare(x.Provider, y.Provider) },
		"user":     func(x, y row) int { return cmp.Compare(w.named(x.Owner).pk, w.named(y.Owner).pk) },
		"expires":  func(x, y row) int { return compareExpires(x.Expires, y.Expires) },
	}
}

func termsOf[T any](known map[string]func(x, y T) int, ordering string) []func(x, y T) int {
	var terms []func(x, y T) int
	for _, term := range strings.Split(ordering, ",") {
		name, descending := strings.CutPrefix(strings.TrimSpace(term), "-")
		compare, ok := known[name]
		if !ok {
			continue
		}
		if descending {
			terms = append(terms, func(x, y T) int { return compare(y, x) })
			continue
		}
		terms = append(terms, compare)
	}
	return terms
}

// compareExpires puts null last, as the database does.
func compareExpires(x, y time.Time) int {
	if x.IsZero() || y.IsZero() {
		return cmp.Compare(boolToInt(x.IsZero()), boolToInt(y.IsZero()))
	}
	return x.Compare(y)
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pageOf is one page of a list: rows first up to end, counted from 0.
type pageOf struct{ count, number, pages, first, end int }

// paginate finds the page asked for, if there is one. An empty list has one
// page.
func paginate(o Options, q url.Values, count int) (pageOf, bool) {
	asked, ok := parseInt(last(q, "page_size"))
	if !ok || asked < 0 {
		asked = 0
	}
	// No list is longer than count, so a larger size asks for the same page.
	size := o.pageSize(int(min(asked, int64(max(count, 100)))))
	p := pageOf{count: count, pages: max(1, (count+size-1)/size)}
	switch number := last(q, "page"); {
	case !q.Has("page"), number == "" && o.Release.from(R2025_8):
		p.number = 1
	case number == "last":
		p.number = p.pages
	default:
		n, ok := parseInt(number)
		if !ok || n < 1 || n > int64(p.pages) {
			return pageOf{}, false
		}
		p.number = int(n)
	}
	p.first = (p.number - 1) * size
	p.end = min(p.first+size, count)
	return p, true
}

// object writes the page's place in the list. 0 stands for no such page.
func (p pageOf) object() object {
	next := 0
	if p.number < p.pages {
		next = p.number + 1
	}
	return object{
		{"next", next}, {"previous", p.number - 1}, {"count", p.count}, {"current", p.number},
		{"total_pages", p.pages}, {"start_index", min(p.first+1, p.end)}, {"end_index", p.end},
	}
}
