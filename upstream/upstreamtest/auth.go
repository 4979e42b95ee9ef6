package upstreamtest

import (
	"mime"
	"net/http"
	"strings"
)

// authorization is the header as the core sees it: sent twice, it is joined.
func authorization(r *http.Request) string {
	return strings.TrimSpace(strings.Join(r.Header["Authorization"], ","))
}

// authenticate finds the caller. Without a caller and a refusal the request is
// anonymous: authentik ignores an incomplete header, and from 2025.12 any
// scheme but Bearer.
func (a *Authentik) authenticate(header string) (caller *user, refusal string) {
	scheme, token, _ := strings.Cut(header, " ")
	if token == "" {
		return nil, ""
	}
	if !strings.EqualFold(scheme, "bearer") {
		if a.options.Release.from(R2025_12) {
			return nil, ""
		}
		return nil, textBadScheme
	}
	found := a.world.user(func(u *user) bool { return u.token == token })
	if found == nil {
		return nil, textBadToken
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	asIs := *found // its permissions may change during the request
	return &asIs, ""
}

// refuse is the check of model permissions: what it says against the request,
// or nothing.
func refuse(method string, resource Resource, caller *user) string {
	switch {
	case caller == nil:
		return textNoCredentials
	case safe(method) || caller.may(method, resource):
		return ""
	default:
		return textForbidden
	}
}

func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}

// visible is authentik's whole rule: superusers see all rows, others their own,
// whatever permissions they hold.
func visible(r row, caller *user) bool {
	return caller != nil && (caller.superuser || caller.username == r.Owner)
}

// acceptsJSON is the content negotiation of the API. No Accept header accepts
// all; an empty one accepts nothing; weights, even zero, are not looked at.
func acceptsJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		name, _, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		switch name {
		case "application/json", "application/*", "*/*":
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e }) < 0
}
