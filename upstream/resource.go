package upstream

import (
	"errors"
	"strconv"
)

// Resource is one of authentik's three kinds of grants. They have the same shape and the same API.
type Resource string

// The resources, by the last part of their path.
const (
	AuthorizationCodes Resource = "authorization_codes"
	AccessTokens       Resource = "access_tokens"
	RefreshTokens      Resource = "refresh_tokens"
)

// Resources returns all resources.
func Resources() []Resource { return []Resource{AuthorizationCodes, AccessTokens, RefreshTokens} }

// path is the path of the list.
func (r Resource) path() string { return "/api/v3/oauth2/" + string(r) + "/" }

// row is the path of one row.
func (r Resource) row(pk PK) string { return r.path() + pk.String() + "/" }

// UUID is in lower case. UUIDs are their texts.
type (
	UUID  string
	UUIDs []string
)

// PK is authentik's primary key of a row: a 32-bit integer. That of a row which is read by it is from 1 to
// 2147483647; examples made from its OpenAPI document may have any in what is nested.
type PK int32

var errBadPK = errors.New("not a decimal integer from 1 to 2147483647 without sign, space or leading zero")

// ParsePK reads a primary key in its one canonical form. authentik also takes 01, +1 and other forms for
// row 1; accepting them would give one row several cache keys.
func ParsePK(s string) (PK, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if pk := PK(n); err == nil && pk > 0 && pk.String() == s {
		return pk, nil
	}
	return 0, errBadPK
}

// String returns the canonical decimal form.
func (pk PK) String() string { return strconv.FormatInt(int64(pk), 10) }
