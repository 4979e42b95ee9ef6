package upstreamtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Code is a row of authentik's table of authorization codes.
type Code struct {
	// PK is the id of the row; 0 asks AddCode for the next free one.
	PK int32
	// Owner is the username of one of the world's users.
	Owner string
	// Provider is one of the Provider constants or the PK of a provider that was
	// added, ProviderGrafana if 0.
	Provider int32
	// Expires is the end of validity; the zero time is sent as null. Note that
	// releases up to 2024.12 answer 500 for such a row unless NeverExpires is
	// set too.
	Expires time.Time
	// NeverExpires is the opposite of authentik's hidden column "expiring": if
	// set, is_expired stays false whatever Expires says.
	NeverExpires bool
	// Scope lists what was granted.
	Scope []string
}

// Token is a row of the table of access tokens or of that of refresh tokens. The
// fields it shares with Code mean the same.
type Token struct {
	PK           int32
	Owner        string
	Provider     int32
	Expires      time.Time
	NeverExpires bool
	Scope        []string
	// IDToken is the text of id_token, sent as it is whether or not it is JSON.
	// Empty asks AddToken for claims such as authentik writes.
	IDToken string
	// Revoked is sent as it is.
	Revoked bool
}

// row is a row of any table of grants; those of codes have no idToken and are not
// revoked.
type row struct {
	Code
	idToken string
	revoked bool
	issuer  *provider // the provider when the row was read, not stored
}

// expired is what is_expired says at now.
func (r row) expired(now time.Time) bool {
	return !r.NeverExpires && !r.Expires.IsZero() && now.After(r.Expires)
}

func (r row) token() Token {
	return Token{
		PK: r.PK, Owner: r.Owner, Provider: r.Provider, Expires: r.Expires, NeverExpires: r.NeverExpires,
		Scope: r.Scope, IDToken: r.idToken, Revoked: r.revoked,
	}
}

// table holds the rows of one resource.
type table struct {
	rows   map[int32]row
	nextPK int32
}

func newTables() map[Resource]*table {
	tables := map[Resource]*table{}
	for _, resource := range Resources() {
		tables[resource] = &table{rows: map[int32]row{}, nextPK: 1}
	}
	return tables
}

// AddCode adds a row, replacing one with the same PK, and returns its PK. An
// owner or provider that does not exist is a programming error and panics.
func (a *Authentik) AddCode(c Code) int32 {
	return a.add(AuthorizationCodes, row{Code: c})
}

// AddToken adds a row to the table of access tokens or to that of refresh
// tokens, as AddCode does to that of codes. Any other resource is a programming
// error and panics.
func (a *Authentik) AddToken(resource Resource, t Token) int32 {
	if !resource.hasTokenFields() {
		panic(fmt.Sprintf("upstreamtest: a token among the %s", resource))
	}
	return a.add(resource, row{
		Code: Code{
			PK: t.PK, Owner: t.Owner, Provider: t.Provider, Expires: t.Expires, NeverExpires: t.NeverExpires, Scope: t.Scope,
		},
		idToken: t.IDToken, revoked: t.Revoked,
	})
}

func (a *Authentik) add(resource Resource, r row) int32 {
	if r.Provider == 0 {
		r.Provider = ProviderGrafana
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	owner, provider := a.world.named(r.Owner), a.providers[r.Provider]
	if owner == nil || provider == nil {
		panic(fmt.Sprintf("upstreamtest: row of unknown owner %q or provider %d", r.Owner, r.Provider))
	}
	r.Expires = r.Expires.Truncate(time.Microsecond)
	r.Scope = list(r.Scope)
	if r.idToken == "" && resource.hasTokenFields() {
		issued := a.options.Now()
		if usual := r.Expires.Add(-resource.validity()); !r.Expires.IsZero() && usual.Before(issued) {
			issued = usual
		}
		r.idToken = idToken(owner, provider, issued, r.Expires)
	}
	t := a.table(resource)
	if r.PK == 0 {
		r.PK = t.nextPK
	}
	// As in a database sequence, the id of a removed row is not given again.
	t.nextPK = max(t.nextPK, r.PK+1)
	t.rows[r.PK] = r
	return r.PK
}

// RemoveCode removes a code, as its redemption or the cleanup would.
func (a *Authentik) RemoveCode(pk int32) { a.Remove(AuthorizationCodes, pk) }

// RemoveToken removes a token, as the cleanup or the end of a session would.
func (a *Authentik) RemoveToken(resource Resource, pk int32) { a.Remove(resource, pk) }

// Remove removes a row of any resource, with a provider also its grants.
func (a *Authentik) Remove(resource Resource, pk int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if resource == Providers {
		a.removeProvider(pk)
		return
	}
	delete(a.table(resource).rows, pk)
}

// Revoke marks a token as revoked, as its client would have it. A row that is
// not there stays away.
func (a *Authentik) Revoke(resource Resource, pk int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.table(resource)
	if r, ok := t.rows[pk]; ok {
		r.revoked = true
		t.rows[pk] = r
	}
}

// Code returns the code with that id. Its Scope must not be modified.
func (a *Authentik) Code(pk int32) (Code, bool) {
	r, ok := a.row(AuthorizationCodes, pk)
	return r.Code, ok
}

// Token returns the token with that id. Its Scope must not be modified.
func (a *Authentik) Token(resource Resource, pk int32) (Token, bool) {
	r, ok := a.row(resource, pk)
	return r.token(), ok
}

// table returns the table of a kind of grant; the lock must be held. Any other
// resource is a programming error and panics.
func (a *Authentik) table(resource Resource) *table {
	t := a.tables[resource]
	if t == nil {
		panic(fmt.Sprintf("upstreamtest: no grants named %q", resource))
	}
	return t
}

func (a *Authentik) row(resource Resource, pk int32) (row, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.table(resource).rows[pk]
	r.issuer = a.providers[r.Provider]
	return r, ok
}

// rows returns the rows to keep, by id.
func (a *Authentik) rows(resource Resource, keep func(row) bool) []row {
	a.mu.Lock()
	all := slices.Collect(maps.Values(a.table(resource).rows))
	for i := range all {
		all[i].issuer = a.providers[all[i].Provider]
	}
	a.mu.Unlock()
	all = slices.DeleteFunc(all, func(r row) bool { return !keep(r) })
	slices.SortFunc(all, func(x, y row) int { return cmp.Compare(x.PK, y.PK) })
	return all
}
