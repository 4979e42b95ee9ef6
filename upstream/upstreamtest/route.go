package upstreamtest

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// place is what a path leads to.
type place int

const (
	elsewhere place = iota // not routed: the HTML error page
	outside                // not below the path prefix
	atHealth
	atVersion
	atList
	atObject
)

// target is a path taken apart.
type target struct {
	place    place
	resource Resource
	segment  string // the id as it was sent, unescaped
	id       int64  // segment as a number, if numeric
	numeric  bool
	pk       int32 // id, if a row can have it, else 0
}

// locate takes a path apart. The slash at the end is part of every route.
func (a *Authentik) locate(p string) target {
	p, inside := strings.CutPrefix(p, a.options.PathPrefix)
	if !inside {
		return target{place: outside}
	}
	if p == "/-/health/ready/" || p == "/-/health/live/" {
		return target{place: atHealth}
	}
	if p == versionPath {
		return target{place: atVersion}
	}
	for _, resource := range served() {
		if rest, below := strings.CutPrefix(p, resource.Path()); below {
			return locateBelow(resource, rest)
		}
	}
	return target{place: elsewhere}
}

// locateBelow takes apart what follows the path of a resource.
func locateBelow(resource Resource, rest string) target {
	if rest == "" {
		return target{place: atList, resource: resource}
	}
	segment, slash := strings.CutSuffix(rest, "/")
	if !slash || segment == "" || strings.ContainsAny(segment, "/.") {
		return target{place: elsewhere}
	}
	t := target{place: atObject, resource: resource, segment: segment}
	t.id, t.numeric = parseInt(segment)
	if t.numeric && t.id > 0 && t.id <= 1<<31-1 {
		t.pk = int32(t.id)
	}
	return t
}

func knownMethod(method string) bool {
	return slices.Contains([]string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"}, method)
}

// answer is the proper answer to a request.
func (a *Authentik) answer(r *http.Request) reply {
	release := a.options.Release
	if release.router() {
		// The router cleans paths before it looks at them, escaped slashes too.
		if clean := cleanPath(r.URL.Path); clean != r.URL.Path {
			to := url.URL{Path: clean, RawQuery: r.URL.RawQuery}
			return reply{status: http.StatusMovedPermanently, location: to.String(), origin: fromRouter}
		}
	}
	if !knownMethod(r.Method) {
		return plain(http.StatusBadRequest, textInvalidRequest, fromServer)
	}
	t := a.locate(r.URL.Path)
	switch t.place {
	case outside:
		return plain(http.StatusNotFound, "404 page not found\n", fromRouter)
	case atHealth:
		return a.health(r)
	case atVersion:
		return a.guard(r, allowVersion, func(caller *user) reply { return a.version(r, caller) })
	case atList:
		return a.guard(r, t.resource.allowList(), func(caller *user) reply {
			if t.resource == Providers {
				return a.providerList(r, caller)
			}
			return a.collection(r, t.resource, caller)
		})
	case atObject:
		return a.guard(r, t.resource.allowObject(), func(caller *user) reply {
			if t.resource == Providers {
				return a.oneProvider(r, t, caller)
			}
			return a.object(r, t, caller)
		})
	default:
		return page(r.Method, http.StatusNotFound)
	}
}

func cleanPath(p string) string {
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// health says that all is well. The router answers for liveness by itself.
func (a *Authentik) health(r *http.Request) reply {
	release := a.options.Release
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return page(r.Method, http.StatusNotFound)
	}
	if release == R2023_10 {
		return reply{status: http.StatusNoContent, mime: htmlType}
	}
	if release.router() && strings.HasSuffix(r.URL.Path, "/live/") {
		return reply{status: http.StatusOK, vary: "Accept-Encoding", origin: fromRouter}
	}
	return reply{status: http.StatusOK, mime: htmlType}
}

// guard does what comes before every view, in authentik's order: negotiation
// first, so that a wrong Accept hides a wrong token, then authentication.
func (a *Authentik) guard(r *http.Request, allow string, view func(caller *user) reply) reply {
	// A byte beyond ASCII in this header fails outside the API's own handlers.
	if !isASCII(authorization(r)) {
		return page(r.Method, http.StatusInternalServerError)
	}
	if format := last(r.URL.Query(), "format"); format != "" && format != "json" {
		return a.detail(http.StatusNotFound, allow, textNotFound)
	}
	if !acceptsJSON(r.Header["Accept"]) {
		return a.detail(http.StatusNotAcceptable, allow, textNotAcceptable)
	}
	caller, refusal := a.authenticate(authorization(r))
	if refusal != "" {
		return a.detail(http.StatusForbidden, allow, refusal)
	}
	return view(caller)
}

// object answers for one grant.
func (a *Authentik) object(r *http.Request, t target, caller *user) reply {
	release := a.options.Release
	if !release.from(R2024_8) {
		// Before 2024.4 permission is checked ahead of existence.
		if refusal := refuse(r.Method, t.resource, caller); refusal != "" {
			return a.detail(http.StatusForbidden, allowObject, refusal)
		}
	}
	switch r.Method {
	case http.MethodOptions:
		return a.metadata(allowObject, t.resource, "Instance")
	case http.MethodGet, http.MethodHead, http.MethodDelete:
	default:
		return a.notAllowed(r.Method, allowObject)
	}
	if !t.numeric {
		return a.detail(http.StatusNotFound, allowObject, textNotFound)
	}
	found, ok := a.row(t.resource, t.pk)
	if !ok || !visible(found, caller) {
		return a.detail(http.StatusNotFound, allowObject, release.notFound(t.resource))
	}
	if r.Method == http.MethodDelete {
		if !caller.may(r.Method, t.resource) {
			return a.detail(http.StatusForbidden, allowObject, textForbidden)
		}
		a.Remove(t.resource, t.pk)
		return reply{status: http.StatusNoContent, allow: allowObject}
	}
	if a.unprintable(found) {
		return page(r.Method, http.StatusInternalServerError)
	}
	return a.json(http.StatusOK, allowObject, a.format(r).row(t.resource, found))
}

// format reads from the query how rows are to be written.
func (a *Authentik) format(r *http.Request) wire {
	q := r.URL.Query()
	flag := func(name string) bool {
		// Any value but the word true means false.
		return !q.Has(name) || strings.EqualFold(last(q, name), "true")
	}
	return wire{
		release:       a.options.Release,
		world:         a.world,
		includeGroups: flag("include_groups"),
		includeRoles:  flag("include_roles"),
		now:           a.options.Now(),
	}
}

// unprintable reports whether the release fails on this row.
func (a *Authentik) unprintable(r row) bool {
	return r.Expires.IsZero() && !r.NeverExpires && a.options.Release.nullExpiresFails()
}

func (a *Authentik) notAllowed(method, allow string) reply {
	return a.detail(http.StatusMethodNotAllowed, allow, `Method "`+method+`" not allowed.`)
}

// metadata answers OPTIONS, which needs no visible row.
func (a *Authentik) metadata(allow string, resource Resource, view string) reply {
	json := []string{"application/json"}
	return a.json(http.StatusOK, allow, object{
		{"name", resource.label() + " " + view}, {"description", resource.model() + " Viewset"}, {"renders", json}, {"parses", json},
	})
}

// last returns the last value of a query parameter: Django lets that one win.
func last(q url.Values, name string) string {
	if values := q[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}
