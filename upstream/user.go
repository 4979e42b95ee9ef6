package upstream

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// User is a person or service account: personal data throughout.
type User struct {
	PK                 PK
	Username           *string
	Name               *string
	IsActive           *bool
	LastLogin          *time.Time
	DateJoined         *time.Time
	IsSuperuser        *bool
	GroupIDs           []string
	Groups             []Group
	RoleIDs            []string
	Roles              []Role
	Email              *string
	Avatar             *string
	Attributes         jsontext.Value
	UID                *string
	Path               *string
	Type               *string
	UUID               *string
	PasswordChangeDate *time.Time
	LastUpdated        *time.Time
}

var userObject = newObject("user", "User",
	key(func(u *User) *PK { return &u.PK }),
	text("username", func(u *User) **string { return &u.Username }),
	text("name", func(u *User) **string { return &u.Name }),
	boolean("is_active", func(u *User) **bool { return &u.IsActive }),
	moment("last_login", func(u *User) **time.Time { return &u.LastLogin }),
	moment("date_joined", func(u *User) **time.Time { return &u.DateJoined }),
	boolean("is_superuser", func(u *User) **bool { return &u.IsSuperuser }),
	uuids("groups", func(u *User) *[]string { return &u.GroupIDs }).as("groupIds"),
	nestedList("groups_obj", func(u *User) *[]Group { return &u.Groups }, groupObject).as("groups"),
	uuids("roles", func(u *User) *[]string { return &u.RoleIDs }).as("roleIds"),
	nestedList("roles_obj", func(u *User) *[]Role { return &u.Roles }, roleObject).as("roles"),
	text("email", func(u *User) **string { return &u.Email }),
	text("avatar", func(u *User) **string { return &u.Avatar }),
	anyJSON("attributes", func(u *User) *jsontext.Value { return &u.Attributes }),
	text("uid", func(u *User) **string { return &u.UID }),
	text("path", func(u *User) **string { return &u.Path }),
	text("type", func(u *User) **string { return &u.Type }),
	uuid("uuid", func(u *User) **string { return &u.UUID }),
	moment("password_change_date", func(u *User) **time.Time { return &u.PasswordChangeDate }),
	moment("last_updated", func(u *User) **time.Time { return &u.LastUpdated }),
)

// Group is a group of users; PK is a UUID.
type Group struct {
	PK          string
	NumPK       *int32
	Name        *string
	IsSuperuser *bool
	Parent      *string
	ParentName  *string
	Attributes  jsontext.Value
}

var groupObject = newObject("user.groups_obj", "Group",
	uuidKey(func(g *Group) *string { return &g.PK }),
	integer("num_pk", func(g *Group) **int32 { return &g.NumPK }),
	text("name", func(g *Group) **string { return &g.Name }),
	boolean("is_superuser", func(g *Group) **bool { return &g.IsSuperuser }),
	uuid("parent", func(g *Group) **string { return &g.Parent }),
	text("parent_name", func(g *Group) **string { return &g.ParentName }),
	anyJSON("attributes", func(g *Group) *jsontext.Value { return &g.Attributes }),
)

// Role is a named set of permissions; PK is a UUID.
type Role struct {
	PK   string
	Name *string
}

var roleObject = newObject("user.roles_obj", "Role",
	uuidKey(func(r *Role) *string { return &r.PK }),
	text("name", func(r *Role) **string { return &r.Name }),
)
