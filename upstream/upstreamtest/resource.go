package upstreamtest

import (
	"strings"
	"time"
)

// Resource names one of authentik's three kinds of grant as its paths do, or the
// providers. The grants differ in name only: rows, rules and answers of all three
// are the same, but for two fields that tokens have more than codes.
type Resource string

// The resources that are served. Each has primary keys of its own, counted
// from 1.
const (
	AuthorizationCodes Resource = "authorization_codes"
	AccessTokens       Resource = "access_tokens"
	RefreshTokens      Resource = "refresh_tokens"

	Providers Resource = "providers"
)

// Resources returns the three kinds of grant.
func Resources() []Resource {
	return []Resource{AuthorizationCodes, AccessTokens, RefreshTokens}
}

// served returns all resources.
func served() []Resource { return append(Resources(), Providers) }

const (
	oauth2Path    = "/api/v3/oauth2/"
	providersPath = "/api/v3/providers/oauth2/"
)

// Path is where the authorization codes lie below the base URL; the id and a
// slash follow. See [Resource.Path] for the others.
const Path = oauth2Path + string(AuthorizationCodes) + "/"

// Path is where the resource lies below the base URL. It is the path of the
// list; for one row the id and a slash follow.
func (r Resource) Path() string {
	if r == Providers {
		return providersPath
	}
	return oauth2Path + string(r) + "/"
}

// allowList is what the Allow header of the list says.
func (r Resource) allowList() string {
	if r == Providers {
		return "GET, POST, HEAD, OPTIONS"
	}
	return allowList
}

// allowObject is what the Allow header of one row says.
func (r Resource) allowObject() string {
	if r == Providers {
		return "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
	}
	return allowObject
}

// DeletePermission is the name of the global permission to delete rows that one
// sees, for [Options.Permissions].
func (r Resource) DeletePermission() string { return "delete_" + strings.ToLower(r.model()) }

// model is the name of the class, as in the text of a 404.
func (r Resource) model() string { return strings.ReplaceAll(r.label(), " ", "") }

// label is the name for people, as in the answer to OPTIONS.
func (r Resource) label() string {
	switch r {
	case AuthorizationCodes:
		return "Authorization Code"
	case AccessTokens:
		return "Access Token"
	case RefreshTokens:
		return "Refresh Token"
	default:
		return "OAuth2 Provider"
	}
}

// validity is how long rows are valid by the providers' settings.
func (r Resource) validity() time.Duration {
	switch r {
	case AuthorizationCodes:
		return time.Minute
	case AccessTokens:
		return time.Hour
	default:
		return 30 * 24 * time.Hour
	}
}

// hasTokenFields reports whether rows carry id_token and revoked.
func (r Resource) hasTokenFields() bool { return r == AccessTokens || r == RefreshTokens }
