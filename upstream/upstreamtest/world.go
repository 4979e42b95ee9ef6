package upstreamtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The bearer tokens the world knows.
const (
	TokenAlice = "demo-alice" // an ordinary user
	TokenBob   = "demo-bob"   // an ordinary user
	TokenDave  = "demo-dave"  // an ordinary user who may delete the codes and tokens he sees
	TokenRoot  = "demo-root"  // a superuser, sees every row
)

// The usernames of the world, for the owners of rows.
const (
	UserAlice = "alice"
	UserBob   = "bob"
	UserDave  = "dave"
	UserRoot  = "root"
)

// The primary keys of the world's providers, for the providers of rows.
const (
	ProviderGrafana int32 = 1 // confidential, application and three redirect URIs
	ProviderMobile  int32 = 2 // public client
	ProviderOrphan  int32 = 3 // no application, no flows: as many nulls as can be
)

type user struct {
	pk          int32
	username    string
	name        string
	email       string
	token       string
	superuser   bool
	permissions []string // see Options.Permissions; under the lock of the fake
	lastLogin   any      // string or nil
	groups      []group
	roles       []role
	initials    string
	avatar      string // drawn from initials
	attributes  json.RawMessage
	uid         string
	path        string
	uuid        string
}

// may reports whether u holds the model permission that method asks for.
func (u *user) may(method string, resource Resource) bool {
	return u.superuser || (method == http.MethodDelete && slices.Contains(u.permissions, resource.DeletePermission()))
}

// holds reports whether u holds a permission on one object.
func (u *user) holds(permission string, pk int32) bool {
	return u.superuser || slices.Contains(u.permissions, permission) ||
		slices.Contains(u.permissions, fmt.Sprintf("%s:%d", permission, pk))
}

// holdsAny reports whether u holds a permission, be it on one object only.
func (u *user) holdsAny(permission string) bool {
	return u.superuser || slices.ContainsFunc(u.permissions, func(p string) bool {
		name, _, _ := strings.Cut(p, ":")
		return name == permission
	})
}

type group struct {
	pk         string
	numPK      int
	name       string
	superuser  bool
	parent     any // string or nil
	parentName any // string or nil
	attributes json.RawMessage
}

type role struct{ pk, name string }

// world is the users, of whom nothing changes but their permissions.
type world struct {
	users []user
}

// newWorld makes the world, with further permissions by username.
func newWorld(permissions map[string][]string) *world {
	w := &world{users: users()}
	for i := range w.users {
		w.users[i].avatar = avatar(w.users[i].initials)
	}
	for username, more := range permissions {
		u := w.named(username)
		if u == nil {
			panic(fmt.Sprintf("upstreamtest: permissions of unknown user %q", username))
		}
		u.permissions = append(u.permissions, more...)
	}
	return w
}

// SetPermissions replaces the permissions of a user of the world, in the form of
// [Options.Permissions]. An unknown user is a programming error and panics.
func (a *Authentik) SetPermissions(username string, permissions ...string) {
	u := a.world.named(username)
	if u == nil {
		panic(fmt.Sprintf("upstreamtest: permissions of unknown user %q", username))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	u.permissions = slices.Clone(permissions)
}

// deletePermissions are those to delete rows of every resource.
func deletePermissions() []string {
	return each(Resources(), Resource.DeletePermission)
}

// user returns the user that match accepts, nil if there is none.
func (w *world) user(match func(*user) bool) *user {
	for i := range w.users {
		if match(&w.users[i]) {
			return &w.users[i]
		}
	}
	return nil
}

// named returns the user with that username, nil if there is none.
func (w *world) named(username string) *user {
	return w.user(func(u *user) bool { return u.username == username })
}

func users() []user {
	return []user{
		{
			pk: 100, username: UserRoot, name: "Root Example", email: "root@example.com", token: TokenRoot,
			superuser: true, lastLogin: "2026-01-02T03:04:05.678901Z", initials: "RE",
			groups: []group{{
				pk: "33333333-3333-4333-8333-333333333333", numPK: 68056, name: "authentik Admins",
				superuser: true, attributes: json.RawMessage(`{}`),
			}},
			attributes: json.RawMessage(`{}`),
			uid:        "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce",
			path:       "users", uuid: "aaaaaaaa-0000-4000-8000-000000000100",
		},
		alice(),
		{
			// As recorded: no groups, a blank e-mail address, never logged in.
			pk: 102, username: UserBob, name: "Bob Builder", token: TokenBob, initials: "BB",
			attributes: json.RawMessage(`{}`),
			uid:        "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35",
			path:       "users", uuid: "aaaaaaaa-0000-4000-8000-000000000102",
		},
		{
			pk: 103, username: UserDave, name: "", email: "dave@example.com", token: TokenDave,
			permissions: deletePermissions(), lastLogin: "2026-02-03T04:05:06Z", initials: "D",
			attributes: json.RawMessage(`{"settings":{"locale":""}}`),
			uid:        "4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a",
			path:       "users/contractors", uuid: "aaaaaaaa-0000-4000-8000-000000000103",
		},
	}
}

// alice carries what tends to break clients: an integer that a float64 cannot
// hold, nulls deep inside, text beyond ASCII, one group with a parent and one
// without.
func alice() user {
	return user{
		pk: 101, username: UserAlice, name: "Alice Example", email: "alice@example.com", token: TokenAlice,
		lastLogin: "2026-01-02T03:04:05.123456Z", initials: "AE",
		groups: []group{
			{
				pk: "22222222-2222-4222-8222-222222222222", numPK: 45370, name: "engineers",
				parent: "11111111-1111-4111-8111-111111111111", parentName: "staff",
				attributes: json.RawMessage(`{"vpn":{"mtu":1400,"profile":"dev"},"notes":null}`),
			},
			{
				pk: "44444444-4444-4444-8444-444444444444", numPK: 90741, name: "on-call",
				attributes: json.RawMessage(`{}`),
			},
		},
		roles: []role{{"55555555-5555-4555-8555-555555555555", "code reader"}},
		attributes: json.RawMessage(`{"upn":"alice@example.com","badge":9007199254740993,"phones":["+49 30 000",null],` +
			`"nested":{"list":[1,2.5,null,true,{"deep":"ümläut"}],"empty":{},"none":null},"settings":{"locale":""}}`),
		uid:  "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
		path: "users/emea", uuid: "aaaaaaaa-0000-4000-8000-000000000101",
	}
}

// avatar draws initials the way authentik does by default.
func avatar(initials string) string {
	svg := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="64px" height="64px" viewBox="0 0 64 64" version="1.1">`+
		`<rect fill="#3fc8b2" width="64" height="64" r="32"/><text x="50%%" y="50%%" fill="#fff" `+
		`alignment-baseline="middle" text-anchor="middle" font-size="28" dy=".1em">%s</text></svg>`, initials)
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(svg))
}
