package upstream

// Resource is one of authentik's three kinds of grants. They have the same shape and the same API.
type Resource string

// The resources, by the last part of their path.
const (
	AuthorizationCodes Resource = "authorization_codes"
	AccessTokens       Resource = "access_tokens"
	RefreshTokens      Resource = "refresh_tokens"
)

// Resources are all of them.
func Resources() []Resource { return []Resource{AuthorizationCodes, AccessTokens, RefreshTokens} }

// path is that of the list.
func (r Resource) path() string { return "/api/v3/oauth2/" + string(r) + "/" }

// row is the path of one row.
func (r Resource) row(pk PK) string { return r.path() + pk.String() + "/" }
