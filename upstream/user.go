package upstream

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// User is a person or service account: personal data throughout.
type User struct {
	PK                 PK             `json:"pk"`
	Username           *string        `json:"username,omitzero"`
	Name               *string        `json:"name,omitzero"`
	IsActive           *bool          `json:"is_active,omitzero"`
	LastLogin          *time.Time     `json:"last_login,omitempty"`
	DateJoined         *time.Time     `json:"date_joined,omitempty"`
	IsSuperuser        *bool          `json:"is_superuser,omitzero"`
	GroupIDs           UUIDs          `json:"groups,omitzero" schema:"groupIds"`
	Groups             []Group        `json:"groups_obj,omitzero" schema:"groups"`
	RoleIDs            UUIDs          `json:"roles,omitzero" schema:"roleIds"`
	Roles              []Role         `json:"roles_obj,omitzero" schema:"roles"`
	Email              *string        `json:"email,omitzero"`
	Avatar             *string        `json:"avatar,omitzero"`
	Attributes         jsontext.Value `json:"attributes,omitzero"`
	UID                *string        `json:"uid,omitzero"`
	Path               *string        `json:"path,omitzero"`
	Type               *string        `json:"type,omitzero"`
	UUID               *UUID          `json:"uuid,omitzero"`
	PasswordChangeDate *time.Time     `json:"password_change_date,omitempty"`
	LastUpdated        *time.Time     `json:"last_updated,omitempty"`
}

// sentUser has what authentik must send.
type sentUser struct {
	plainUser
	PK *PK `json:"pk"`
}

func readUser(in *jsontext.Decoder) (u User, ok bool, err error) {
	s, ok, err := readSentUser(in)
	if u = User(s.plainUser); ok {
		u.PK = *s.PK
	}
	return u, ok, err
}

var readSentUser = object(func(u *sentUser) bool { return u.PK != nil })

// Group is a group of users; PK is a UUID.
type Group struct {
	PK          UUID           `json:"pk"`
	NumPK       *int32         `json:"num_pk,omitzero"`
	Name        *string        `json:"name,omitzero"`
	IsSuperuser *bool          `json:"is_superuser,omitzero"`
	Parent      *UUID          `json:"parent,omitzero"`
	ParentName  *string        `json:"parent_name,omitzero"`
	Attributes  jsontext.Value `json:"attributes,omitzero"`
}

// Role is a named set of permissions; PK is a UUID.
type Role struct {
	PK   UUID    `json:"pk"`
	Name *string `json:"name,omitzero"`
}
