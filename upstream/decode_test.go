package upstream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"authentik-graphql/upstream"
)

// sent is when the requests of these tests left.
var sent = time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)

// minimal is the smallest possible code; its Expires is after sent.
const minimal = `{"pk":7,"provider":{"pk":1},"user":{"pk":2},"is_expired":false,"expires":"2026-11-24T04:01:00Z"}`

// decode decodes a grant without an error.
func decode(t *testing.T, body string) (*upstream.Grant, []string) {
	t.Helper()
	c, dropped, err := upstream.DecodeGrant([]byte(body), sent)
	if err != nil {
		t.Fatalf("DecodeGrant: %v\n%s", err, body[:min(len(body), 500)])
	}
	return c, dropped
}

// with puts members into the minimal code: at its top, in its provider or in its user.
func with(where, members string) string {
	switch where {
	case "provider":
		return strings.Replace(minimal, `{"pk":1}`, `{"pk":1,`+members+`}`, 1)
	case "user":
		return strings.Replace(minimal, `{"pk":2}`, `{"pk":2,`+members+`}`, 1)
	default:
		return strings.Replace(minimal, `{"pk":7,`, `{"pk":7,`+members+`,`, 1)
	}
}

// group is a user's groups_obj of one group with these further members.
func group(members string) string {
	return `"groups_obj":[{"pk":"` + aUUID + `",` + members + `}]`
}

const (
	aUUID     = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
	otherUUID = "298c46df-4a82-4d6b-bdcb-62c7065c10bc"
)

// TestGoldenCodes compares the decoded value of a few recordings with a reviewed file.
func TestGoldenCodes(t *testing.T) {
	var got bytes.Buffer
	for _, recording := range []struct{ release, name string }{
		{"2023.10.7", "retrieve-own"},
		{"2023.10.7", "retrieve-own-superuser"},
		{"2023.10.7", "retrieve-own-provider-without-application"},
		{"2024.8.4", "retrieve-own"},
		{"2024.8.4", "retrieve-own-null-expires"},
		{"2024.8.4", "attributes-list"},
		{"2024.8.6", "retrieve-own"},
		{"2024.8.6", "migrated-three-lines"},
		{"2024.8.6", "migrated-empty"},
		{"2025.8.6", "retrieve-own"},
		{"2025.8.6", "retrieve-provider-without-application"},
		{"2025.12.4", "retrieve-own"},
		{"2025.12.4", "retrieve-expired"},
		{"2026.2.2", "retrieve-own"},
		{"2026.2.2", "retrieve-admin-own"},
		{"2026.2.2", "retrieve-expires-null"},
		{"2026.5.0-rc1", "retrieve-alice-own"},
		{"2026.5.0-rc1", "access_tokens-retrieve-alice"},
	} {
		c, _ := decode(t, string(recordedCode(t, recording.release, recording.name)))
		fmt.Fprintf(&got, "-- %s %s --\n", recording.release, recording.name)
		if err := json.Indent(&got, upstream.EncodeGrant(c), "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
	}
	golden(t, "testdata/decoded.txt", got.Bytes())
}

func checkRoundTrip(t *testing.T, c *upstream.Grant) {
	t.Helper()
	stored := upstream.EncodeGrant(c)
	back, err := upstream.RestoreGrant(string(stored))
	if err != nil {
		t.Fatalf("RestoreGrant: %v\n%s", err, stored)
	}
	if again := upstream.EncodeGrant(back); !bytes.Equal(again, stored) {
		t.Errorf("stored again as\n%s\nwant\n%s", again, stored)
	}
	if !reflect.DeepEqual(back, c) {
		t.Errorf("came back different from\n%s", stored)
	}
}

// TestRestoreRedacted restores codes from which whole objects were redacted.
func TestRestoreRedacted(t *testing.T) {
	for _, tc := range []struct {
		name string
		code upstream.Grant
	}{
		{"no provider", upstream.Grant{PK: 1, User: &upstream.User{PK: 2}, Scope: []string{}}},
		{"no user", upstream.Grant{PK: 1, Provider: &upstream.Provider{PK: 2}, Scope: []string{"a"}}},
		{"neither", upstream.Grant{PK: 1, Expired: true, Scope: []string{}}},
		{"no expires but an end", upstream.Grant{PK: 1, EndsAt: sent, Scope: []string{}}},
	} {
		t.Run(tc.name, func(t *testing.T) { checkRoundTrip(t, &tc.code) })
	}
}

func TestRestoreRefuses(t *testing.T) {
	for _, stored := range []string{``, `null`, `[]`, `{}`, `{"pk":0}`, `{"pk":1`, `{"pk":"1"}`, "{\"pk\":1,\"x\":\"\xff\"}"} {
		if c, err := upstream.RestoreGrant(stored); err == nil {
			t.Errorf("RestoreGrant(%q) = %v", stored, c)
		}
	}
}

// TestEndsAtIsOursAlone checks that authentik cannot set the one key that is not its own.
func TestEndsAtIsOursAlone(t *testing.T) {
	c, _ := decode(t, with("", `"_ends_at":1`))
	if want := sent.Add(time.Minute); !c.EndsAt.Equal(want) {
		t.Errorf("EndsAt %v, want %v", c.EndsAt, want)
	}
}

// TestWrongTypes gives each optional field values of other types. The field must become nil and be named,
// and the rest of the code must stay.
func TestWrongTypes(t *testing.T) {
	const (
		text    = `1 1.5 true [] {} ["a"]`
		uuid    = text + ` "" "x" "3fa85f64571745624b3fc2c963f66afa6" "{3fa85f64-5717-4562-b3fc-2c963f66afa6}" "urn:uuid:3fa85f64-5717-4562-b3fc-2c963f66afa6" "3fa85f64-5717-4562-b3fc-2c963f66afag"`
		boolean = `0 1 "true" "" [] {} [true]`
		moment  = `0 1764000000 true [] {} "" "now" "2026-11-24" "2026-11-24T04:01:00" "2026-13-24T04:01:00Z" "9999-12-31T23:59:59-01:00" "0000-01-01T00:00:00+01:00"`
		integer = `"1" true [] {} 1.5 1e0 2147483648 -2147483649 1e400 [1]`
		texts   = `"a" 1 true {} [1] ["a",null] [["a"]] [{}]`
		uuids   = `"a" 1 true {} [1] ["a"] ["` + aUUID + `",null] "` + aUUID + `"`
		ints    = `1 "1" true {} ["1"] [1.5] [1,null] [2147483648]`
		objects = `1 "a" true {} [1] ["a"] [null] [[]]`
		keyed   = objects + ` [{}] [{"pk":1}] [{"pk":"x"}]`
	)
	for _, tc := range []struct{ where, key, field, values string }{
		{"", "scope", "Scope", texts},
		{"provider", "name", "Name", text},
		{"provider", "authentication_flow", "AuthenticationFlow", uuid},
		{"provider", "authorization_flow", "AuthorizationFlow", uuid},
		{"provider", "invalidation_flow", "InvalidationFlow", uuid},
		{"provider", "property_mappings", "PropertyMappings", uuids},
		{"provider", "component", "Component", text},
		{"provider", "assigned_application_slug", "AssignedApplicationSlug", text},
		{"provider", "assigned_application_name", "AssignedApplicationName", text},
		{"provider", "assigned_backchannel_application_slug", "AssignedBackchannelApplicationSlug", text},
		{"provider", "assigned_backchannel_application_name", "AssignedBackchannelApplicationName", text},
		{"provider", "verbose_name", "VerboseName", text},
		{"provider", "verbose_name_plural", "VerboseNamePlural", text},
		{"provider", "meta_model_name", "MetaModelName", text},
		{"provider", "client_type", "ClientType", text},
		{"provider", "grant_types", "GrantTypes", texts},
		{"provider", "client_id", "ClientID", text},
		{"provider", "client_secret", "ClientSecret", text},
		{"provider", "access_code_validity", "AccessCodeValidity", text},
		{"provider", "access_token_validity", "AccessTokenValidity", text},
		{"provider", "refresh_token_validity", "RefreshTokenValidity", text},
		{"provider", "refresh_token_threshold", "RefreshTokenThreshold", text},
		{"provider", "include_claims_in_id_token", "IncludeClaimsInIDToken", boolean},
		{"provider", "signing_key", "SigningKey", uuid},
		{"provider", "encryption_key", "EncryptionKey", uuid},
		{"provider", "redirect_uris", "RedirectURIs", `1 true {} [1] ["a"] [null] [[]]`},
		{"provider", "logout_uri", "LogoutURI", text},
		{"provider", "backchannel_logout_uri", "LogoutURI", text},
		{"provider", "logout_method", "LogoutMethod", text},
		{"provider", "sub_mode", "SubMode", text},
		{"provider", "issuer_mode", "IssuerMode", text},
		{"provider", "jwt_federation_sources", "JWTFederationSources", uuids},
		{"provider", "jwks_sources", "JWTFederationSources", uuids},
		{"provider", "jwt_federation_providers", "JWTFederationProviders", ints},
		{"user", "username", "Username", text},
		{"user", "name", "Name", text},
		{"user", "is_active", "IsActive", boolean},
		{"user", "last_login", "LastLogin", moment},
		{"user", "date_joined", "DateJoined", moment},
		{"user", "is_superuser", "IsSuperuser", boolean},
		{"user", "groups", "GroupIDs", uuids},
		{"user", "groups_obj", "Groups", keyed},
		{"user", "roles", "RoleIDs", uuids},
		{"user", "roles_obj", "Roles", keyed},
		{"user", "email", "Email", text},
		{"user", "avatar", "Avatar", text},
		{"user", "uid", "UID", text},
		{"user", "path", "Path", text},
		{"user", "type", "Type", text},
		{"user", "uuid", "UUID", uuid},
		{"user", "password_change_date", "PasswordChangeDate", moment},
		{"user", "last_updated", "LastUpdated", moment},
		{"group", "num_pk", "NumPK", integer},
		{"group", "name", "Name", text},
		{"group", "is_superuser", "IsSuperuser", boolean},
		{"group", "parent", "Parent", uuid},
		{"group", "parent_name", "ParentName", text},
		{"role", "name", "Name", text},
		{"uri", "url", "URL", text},
		{"uri", "matching_mode", "MatchingMode", text},
		{"uri", "redirect_uri_type", "Type", text},
	} {
		t.Run(tc.where+"."+tc.key, func(t *testing.T) {
			name := tc.where + "." + tc.key
			body := func(value string) string { return with(tc.where, `"`+tc.key+`":`+value) }
			holder := func(c *upstream.Grant) any { return c }
			switch tc.where {
			case "":
				name = tc.key
			case "provider":
				holder = func(c *upstream.Grant) any { return c.Provider }
			case "user":
				holder = func(c *upstream.Grant) any { return c.User }
			case "group":
				name = "user.groups_obj." + tc.key
				body = func(value string) string { return with("user", group(`"`+tc.key+`":`+value)) }
				holder = func(c *upstream.Grant) any { return &c.User.Groups[0] }
			case "role":
				name = "user.roles_obj." + tc.key
				body = func(value string) string {
					return with("user", `"roles_obj":[{"pk":"`+aUUID+`","`+tc.key+`":`+value+`}]`)
				}
				holder = func(c *upstream.Grant) any { return &c.User.Roles[0] }
			case "uri":
				name = "provider.redirect_uris." + tc.key
				body = func(value string) string {
					return with("provider", `"redirect_uris":[{"`+tc.key+`":`+value+`}]`)
				}
				holder = func(c *upstream.Grant) any { return &c.Provider.RedirectURIs[0] }
			}
			field := func(c *upstream.Grant) reflect.Value {
				return reflect.ValueOf(holder(c)).Elem().FieldByName(tc.field)
			}
			for _, value := range strings.Fields(tc.values) {
				c, dropped := decode(t, body(value))
				empty := field(c).IsNil() || tc.field == "Scope" && field(c).Len() == 0
				if !empty || !slices.Equal(dropped, []string{name}) {
					t.Errorf("%s: empty %v, dropped %q", value, empty, dropped)
				}
				checkRoundTrip(t, c)
			}
			c, dropped := decode(t, body("null"))
			if empty := field(c).IsNil() || tc.field == "Scope"; !empty || len(dropped) > 0 {
				t.Errorf("null: empty %v, dropped %q", empty, dropped)
			}
		})
	}
}

// everyField is a token with every field of every type.
var everyField = strings.NewReplacer(`"U"`, `"`+aUUID+`"`, `"T"`, `"2026-11-24T04:01:00Z"`).Replace(
	`{"pk":7,"provider":{"pk":1,"name":"n","authentication_flow":"U","authorization_flow":"U","invalidation_flow":"U",
		"property_mappings":["U"],"component":"c","assigned_application_slug":"s","assigned_application_name":"n",
		"assigned_backchannel_application_slug":"s","assigned_backchannel_application_name":"n","verbose_name":"v",
		"verbose_name_plural":"v","meta_model_name":"m","client_type":"confidential","grant_types":["g"],"client_id":"i","client_secret":"s",
		"access_code_validity":"a","access_token_validity":"a","refresh_token_validity":"r","refresh_token_threshold":"r",
		"include_claims_in_id_token":false,"signing_key":"U","encryption_key":"U","redirect_uris":[{"matching_mode":"m","url":"u","redirect_uri_type":"t"}],
		"logout_uri":"l","logout_method":"l","sub_mode":"s","issuer_mode":"i","jwt_federation_sources":["U"],"jwt_federation_providers":[0]},
		"user":{"pk":2,"username":"u","name":"n","is_active":false,"last_login":"T","date_joined":"T","is_superuser":false,
		"groups":["U"],"groups_obj":[{"pk":"U","num_pk":0,"name":"n","is_superuser":false,"parent":"U","parent_name":"p","attributes":{}}],
		"roles":["U"],"roles_obj":[{"pk":"U","name":"n"}],"email":"e","avatar":"a","attributes":{},"uid":"u","path":"p","type":"t","uuid":"U",
		"password_change_date":"T","last_updated":"T"},"is_expired":false,"expires":"T","scope":[""],"revoked":false,"id_token":"{\"sub\":1}"}`)

// TestEveryFieldIsRead fails when a field of a type is not read.
func TestEveryFieldIsRead(t *testing.T) {
	old := string(recordedCode(t, "2023.10.7", "retrieve-own")) // only older releases send the parent of a group
	c, dropped := decode(t, everyField)
	if len(dropped) > 0 {
		t.Errorf("dropped %q", dropped)
	}
	c.Expired = true                                         // the one field that may be false
	c.Provider.Partial, c.Provider.Audience = true, new("i") // a whole provider has neither
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				t.Errorf("%s was not read", path)
			} else if e := v.Elem(); e.Kind() == reflect.Struct && e.Type() != reflect.TypeFor[time.Time]() {
				walk(path, e)
			}
		case reflect.Slice:
			if v.Len() == 0 {
				t.Errorf("%s was not read", path)
			} else if v.Index(0).Kind() == reflect.Struct {
				walk(path+"[0]", v.Index(0))
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				break
			}
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		}
		if v.IsZero() {
			t.Errorf("%s was not read", path)
		}
	}
	walk("code", reflect.ValueOf(c))
	checkRoundTrip(t, c)
	if c, _ := decode(t, old); c.User.Groups == nil {
		t.Error("groups of 2023.10 were not read")
	}
}

// TestStrictFields checks the fields without which a body is not a code.
func TestStrictFields(t *testing.T) {
	const (
		pk       = `"pk":7`
		provider = `"provider":{"pk":1}`
		user     = `"user":{"pk":2}`
		expired  = `"is_expired":false`
		expires  = `"expires":"2026-11-24T04:01:00Z"`
	)
	for _, tc := range []struct{ name, part, instead string }{
		{"pk missing", pk, ``},
		{"pk null", pk, `"pk":null`},
		{"pk text", pk, `"pk":"7"`},
		{"pk zero", pk, `"pk":0`},
		{"pk negative", pk, `"pk":-7`},
		{"pk fraction", pk, `"pk":7.5`},
		{"pk exponent", pk, `"pk":7e0`},
		{"pk boolean", pk, `"pk":true`},
		{"pk list", pk, `"pk":[7]`},
		{"pk beyond 32 bits", pk, `"pk":2147483648`},
		{"pk beyond 64 bits", pk, `"pk":9223372036854775808`},
		{"pk once good, then bad", pk, `"pk":7,"pk":"7"`},
		{"provider missing", provider, ``},
		{"provider null", provider, `"provider":null`},
		{"provider number", provider, `"provider":1`},
		{"provider list", provider, `"provider":[{"pk":1}]`},
		{"provider empty", provider, `"provider":{}`},
		{"provider.pk null", provider, `"provider":{"pk":null}`},
		{"provider.pk text", provider, `"provider":{"pk":"1"}`},
		{"provider.pk beyond 32 bits", provider, `"provider":{"pk":2147483648}`},
		{"user missing", user, ``},
		{"user null", user, `"user":null`},
		{"user number", user, `"user":2`},
		{"user list", user, `"user":[{"pk":2}]`},
		{"user empty", user, `"user":{}`},
		{"user.pk null", user, `"user":{"pk":null}`},
		{"user.pk text", user, `"user":{"pk":"2"}`},
		{"user.pk fraction", user, `"user":{"pk":2.5}`},
		{"is_expired number", expired, `"is_expired":0`},
		{"is_expired text", expired, `"is_expired":"false"`},
		{"is_expired list", expired, `"is_expired":[]`},
		{"expires number", expires, `"expires":1764000000`},
		{"expires empty", expires, `"expires":""`},
		{"expires without zone", expires, `"expires":"2026-11-24T04:01:00"`},
		{"expires date", expires, `"expires":"2026-11-24"`},
		{"expires list", expires, `"expires":["2026-11-24T04:01:00Z"]`},
		{"expires beyond year 9999", expires, `"expires":"9999-12-31T23:59:59-00:01"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			members := []string{pk, provider, user, expired, expires}
			i := slices.Index(members, tc.part)
			if members[i] = tc.instead; tc.instead == "" {
				members = slices.Delete(members, i, i+1)
			}
			body := "{" + strings.Join(members, ",") + "}"
			c, _, err := upstream.DecodeGrant([]byte(body), sent)
			if err == nil || c != nil {
				t.Errorf("%s decodes to %v", body, c)
			}
		})
	}
}

func TestNotACode(t *testing.T) {
	for _, tc := range []struct{ name, body string }{
		{"nothing", ""},
		{"blank", " "},
		{"null", "null"},
		{"number", "1"},
		{"text", `"pk"`},
		{"list", "[" + minimal + "]"},
		{"list page", `{"pagination":{"count":0},"results":[]}`},
		{"page", "<!DOCTYPE html>"},
		{"cut", minimal[:len(minimal)-1]},
		{"two values", minimal + minimal},
		{"trailing comma", strings.Replace(minimal, `"}`, `",}`, 1)},
		{"byte order mark", "\ufeff" + minimal},
		{"latin 1", with("user", "\"name\":\"J\xf6rg\"")},
		{"invalid UTF-8 in a key", with("user", "\"na\xffme\":1")},
		{"surrogate half as bytes", with("user", "\"name\":\"\xed\xa0\x80\"")},
		{"control character in a text", with("user", "\"name\":\"a\nb\"")},
		{"attributes of 100,000 brackets", with("user", `"attributes":`+strings.Repeat("[", 1e5)+strings.Repeat("]", 1e5))},
		{"attributes of 100,000 braces", with("user", `"attributes":`+strings.Repeat(`{"a":`, 1e5)+"1"+strings.Repeat("}", 1e5))},
		{"4 MB of open brackets", strings.Repeat("[", 4<<20)},
		{"4 MB of open braces", strings.Repeat(`{"a":`, 4<<20/5)},
		{"4 MB of open brackets in a code", with("user", `"attributes":`+strings.Repeat("[", 4<<20))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if c, _, err := upstream.DecodeGrant([]byte(tc.body), sent); err == nil || c != nil {
				t.Errorf("decodes to %v", c)
			} else if len(err.Error()) > 100 {
				t.Errorf("the error repeats the body: %.200s", err)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	c, dropped := decode(t, `{"pk":7.0,"provider":{"pk":1.0,"jwt_federation_providers":[4,5.0,-0]},"user":{"pk":2147483647.0,`+group(`"num_pk":55226.0`)+`}}`)
	if len(dropped) > 0 || c.PK != 7 || c.Provider.PK != 1 || c.User.PK != 1<<31-1 || *c.User.Groups[0].NumPK != 55226 {
		t.Errorf("dropped %q, keys %d %d %d", dropped, c.PK, c.Provider.PK, c.User.PK)
	}
	if got := c.Provider.JWTFederationProviders; !slices.Equal(got, []int32{4, 5, 0}) {
		t.Errorf("jwt_federation_providers %v", got)
	}
}

func TestRedirectURIs(t *testing.T) {
	for _, tc := range []struct{ name, value, want string }{
		{"absent", ``, `nil`},
		{"null", `null`, `nil`},
		{"text", `"https://a.example/cb"`, `[- https://a.example/cb]`},
		{"lines", `"https://a.example/cb\nhttps://b.example/cb\r\n"`, `[- https://a.example/cb] [- https://b.example/cb]`},
		{"blanks and tabs", `"  a \t b  "`, `[- a] [- b]`},
		{"empty text", `""`, ``},
		{"blank text", `" \n\t "`, ``},
		{"list", `[{"matching_mode":"strict","url":"https://a.example/cb"},{"url":"b","matching_mode":"regex"}]`, `[strict https://a.example/cb] [regex b]`},
		{"empty list", `[]`, ``},
		{"an empty URL", `[{"url":""}]`, `[- ]`},
		{"an empty object", `[{}]`, `[- -]`},
		{"nulls", `[{"matching_mode":null,"url":null}]`, `[- -]`},
		{"an unknown mode", `[{"matching_mode":"fuzzy","url":"a"}]`, `[fuzzy a]`},
		{"further keys", `[{"matching_mode":"strict","url":"a","redirect_uri_type":"logout"}]`, `[strict a]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := minimal
			if tc.value != "" {
				body = with("provider", `"redirect_uris":`+tc.value)
			}
			c, dropped := decode(t, body)
			if len(dropped) > 0 {
				t.Errorf("dropped %q", dropped)
			}
			var parts []string
			for _, uri := range c.Provider.RedirectURIs {
				parts = append(parts, fmt.Sprintf("[%s %s]", or(uri.MatchingMode), or(uri.URL)))
			}
			got := strings.Join(parts, " ")
			if c.Provider.RedirectURIs == nil {
				got = "nil"
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			checkRoundTrip(t, c)
		})
	}
}

// or shows an optional text; nil is "-".
func or(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// TestRenamed checks that a value is found under either of two names, in any order, and that the newer name
// wins where both have a value.
func TestRenamed(t *testing.T) {
	const (
		sources = `"jwt_federation_sources":["` + aUUID + `"]`
		jwks    = `"jwks_sources":["` + otherUUID + `"]`
	)
	for _, tc := range []struct{ name, members, logout, source string }{
		{"neither", `"name":"n"`, "-", "-"},
		{"new", `"logout_uri":"new",` + sources, "new", aUUID},
		{"old", `"backchannel_logout_uri":"old",` + jwks, "old", otherUUID},
		{"new, old", `"logout_uri":"new","backchannel_logout_uri":"old",` + sources + `,` + jwks, "new", aUUID},
		{"old, new", `"backchannel_logout_uri":"old","logout_uri":"new",` + jwks + `,` + sources, "new", aUUID},
		{"new null, old", `"logout_uri":null,"backchannel_logout_uri":"old","jwt_federation_sources":null,` + jwks, "old", otherUUID},
		{"old, new null", `"backchannel_logout_uri":"old","logout_uri":null,` + jwks + `,"jwt_federation_sources":null`, "old", otherUUID},
		{"new, old null", `"logout_uri":"new","backchannel_logout_uri":null,` + sources + `,"jwks_sources":null`, "new", aUUID},
		{"old null, new", `"backchannel_logout_uri":null,"logout_uri":"new","jwks_sources":null,` + sources, "new", aUUID},
		{"old, new empty", `"backchannel_logout_uri":"old","logout_uri":"",` + jwks + `,"jwt_federation_sources":[]`, "", ""},
		{"new empty, old", `"logout_uri":"","backchannel_logout_uri":"old","jwt_federation_sources":[],` + jwks, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, dropped := decode(t, with("provider", tc.members))
			source := "-"
			if c.Provider.JWTFederationSources != nil {
				source = strings.Join(c.Provider.JWTFederationSources, " ")
			}
			if logout := or(c.Provider.LogoutURI); logout != tc.logout || source != tc.source || len(dropped) > 0 {
				t.Errorf("logout %q, source %q, dropped %q", logout, source, dropped)
			}
		})
	}
}

// TestAttributes checks that any JSON is kept byte for byte, without blanks between tokens.
func TestAttributes(t *testing.T) {
	for _, tc := range []struct{ name, value string }{
		{"object", `{"a":1}`},
		{"empty", `{}`},
		{"blanks inside", "{ \"b\" :\t1 ,\n \"a\" : [ ] }"},
		{"list", `[1,"2",null]`},
		{"text", `"just a text"`},
		{"empty text", `""`},
		{"number", `17`},
		{"boolean", `false`},
		{"beyond 2^53", `{"n":9007199254740993}`},
		{"beyond 64 bits", `{"n":18446744073709551616}`},
		{"400 digits", `{"n":` + strings.Repeat("1234567890", 40) + `}`},
		{"fractions and exponents", `[1.0,1.10,1e5,1E+5,-0,-0.0,1e400]`},
		{"nested nulls", `{"a":null,"b":[null,{"c":null}]}`},
		{"escapes", `{"a":"\u0041\/\n","\u00fc":"ü"}`},
		{"lone surrogate", `{"a":"\ud800"}`},
		{"NUL", `{"a":"\u0000"}`},
		{"duplicate keys", `{"a":1,"a":2}`},
		{"brackets in texts", `{"a":"]}\"{["}`},
		{"9,000 levels", strings.Repeat("[", 9000) + strings.Repeat("]", 9000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, dropped := decode(t, with("user", `"attributes": `+tc.value+` ,`+group(`"attributes":`+tc.value)))
			if tc.name == "blanks inside" {
				tc.value = strings.NewReplacer(" ", "", "\t", "", "\n", "").Replace(tc.value)
			}
			if got := string(c.User.Attributes); got != tc.value {
				t.Errorf("got %.200s", got)
			}
			if got := string(c.User.Groups[0].Attributes); got != tc.value || len(dropped) > 0 {
				t.Errorf("group: got %.200s, dropped %q", got, dropped)
			}
			checkRoundTrip(t, c)
		})
	}
	t.Run("null", func(t *testing.T) {
		if c, _ := decode(t, with("user", `"attributes":null`)); c.User.Attributes != nil {
			t.Errorf("got %s", c.User.Attributes)
		}
	})
}

func TestScope(t *testing.T) {
	for _, tc := range []struct {
		name, members string
		want          []string
	}{
		{"missing", `"x":1`, []string{}},
		{"null", `"scope":null`, []string{}},
		{"empty", `"scope":[]`, []string{}},
		{"order and duplicates stay", `"scope":["openid","email","openid"]`, []string{"openid", "email", "openid"}},
		{"empty text", `"scope":[""]`, []string{""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := decode(t, with("", tc.members))
			if c.Scope == nil || !slices.Equal(c.Scope, tc.want) {
				t.Errorf("got %#v", c.Scope)
			}
		})
	}
}

// TestTexts checks that escapes are resolved, always to valid UTF-8.
func TestTexts(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"plain", `Jörg 🦊`, "Jörg 🦊"},
		{"escapes", `a\"\\\/\b\f\n\r\t\u00e9`, "a\"\\/\b\f\n\r\té"},
		{"surrogate pair", `\ud83e\udd8a`, "🦊"},
		{"lone high surrogate", `a\ud800b`, "a\ufffdb"},
		{"lone low surrogate", `a\udc00b`, "a\ufffdb"},
		{"high surrogate at the end", `a\ud800`, "a\ufffd"},
		{"NUL", `a\u0000b`, "a\x00b"},
		{"line separator", "a\u2028b", "a\u2028b"},
		{"markup", `<b>&amp;</b>`, "<b>&amp;</b>"},
		{"delete", "a\x7fb", "a\x7fb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := decode(t, with("user", `"name":"`+tc.text+`"`))
			if got := *c.User.Name; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			checkRoundTrip(t, c)
		})
	}
	// The exact result of two halves that do not match does not matter.
	c, _ := decode(t, with("user", `"name":"\ud800\u0041\udc00\ud800"`))
	if !utf8.ValidString(*c.User.Name) {
		t.Errorf("got %q", *c.User.Name)
	}
}

func TestKeys(t *testing.T) {
	c, dropped := decode(t, `{"pk":1,"\u0070k":7,"PK":3,"unknown":{"pk":4},"provider":{"pk":9},"provider":{"pk":1,"name":"a","name":"b"},
		"user":{"pk":2,"groups":["`+strings.ToUpper(aUUID)+`"]}}`)
	switch {
	case len(dropped) > 0:
		t.Errorf("dropped %q", dropped)
	case c.PK != 7:
		t.Errorf("pk %d: the last of two wins, however it is written", c.PK)
	case c.Provider.PK != 1 || *c.Provider.Name != "b":
		t.Errorf("provider %d %s: the last of two wins", c.Provider.PK, *c.Provider.Name)
	case c.User.GroupIDs[0] != aUUID:
		t.Errorf("UUID %s is not in lower case", c.User.GroupIDs[0])
	}
}

// TestExpiry checks what we say of every combination of what authentik said and when it was asked.
func TestExpiry(t *testing.T) {
	const (
		past, future = `"2026-11-24T03:59:59.999999Z"`, `"2026-11-24T04:00:30.000001Z"`
		now          = `"2026-11-24T04:00:00Z"`
		shifted      = `"2026-11-24T05:00:30.000001+01:00"`
	)
	end := sent.Add(30*time.Second + time.Microsecond)
	for _, tc := range []struct {
		name, said, expires string
		expired             bool
		endsAt              time.Time
	}{
		{"alive, future", `false`, future, false, end},
		{"alive, future in another zone", `false`, shifted, false, end},
		{"alive, past: never expires", `false`, past, false, time.Time{}},
		{"alive, this moment: never expires", `false`, now, false, time.Time{}},
		{"alive, null", `false`, `null`, false, time.Time{}},
		{"alive, absent", `false`, ``, false, time.Time{}},
		{"expired, past", `true`, past, true, time.Time{}},
		{"expired, future: authentik is right", `true`, future, true, time.Time{}},
		{"expired, null", `true`, `null`, true, time.Time{}},
		{"nothing said, future", ``, future, false, end},
		{"nothing said, past", ``, past, true, time.Time{}},
		{"nothing said, this moment", ``, now, true, time.Time{}},
		{"nothing said, null", ``, `null`, false, time.Time{}},
		{"null, past", `null`, past, true, time.Time{}},
		{"null, future", `null`, future, false, end},
		{"nothing at all", ``, ``, false, time.Time{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := `{"pk":7,"provider":{"pk":1},"user":{"pk":2}`
			reversed := body
			if tc.said != "" {
				body += `,"is_expired":` + tc.said
			}
			if tc.expires != "" {
				body += `,"expires":` + tc.expires
				reversed += `,"expires":` + tc.expires
			}
			if tc.said != "" {
				reversed += `,"is_expired":` + tc.said
			}
			for _, body := range []string{body + "}", reversed + "}"} {
				c, _ := decode(t, body)
				if c.Expired != tc.expired || !c.EndsAt.Equal(tc.endsAt) {
					t.Errorf("expired %v, ends at %v", c.Expired, c.EndsAt)
				}
				if hasTime := tc.expires != "" && tc.expires != "null"; hasTime != (c.Expires != nil) {
					t.Errorf("expires %v", c.Expires)
				}
				checkRoundTrip(t, c)
			}
		})
	}
}

func TestExpiredAt(t *testing.T) {
	for _, tc := range []struct {
		name string
		code upstream.Grant
		now  time.Time
		want bool
	}{
		{"said so", upstream.Grant{Expired: true}, sent, true},
		{"said so, though the end lies ahead", upstream.Grant{Expired: true, EndsAt: sent.Add(time.Hour)}, sent, true},
		{"never", upstream.Grant{}, sent.AddDate(1000, 0, 0), false},
		{"never, though expires is past", upstream.Grant{Expires: &sent}, sent.Add(time.Hour), false},
		{"a moment before", upstream.Grant{EndsAt: sent}, sent.Add(-1), false},
		{"at the end", upstream.Grant{EndsAt: sent}, sent, true},
		{"a moment after", upstream.Grant{EndsAt: sent}, sent.Add(1), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.code.ExpiredAt(tc.now); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNanoseconds(t *testing.T) {
	c, _ := decode(t, strings.Replace(minimal, `04:01:00Z`, `04:01:00.123456789Z`, 1))
	if got := c.Expires.Nanosecond(); got != 123456789 {
		t.Errorf("expires keeps %d ns", got)
	}
	if got := c.EndsAt.Nanosecond(); got != 123456000 {
		t.Errorf("EndsAt keeps %d ns, and cannot be stored so", got)
	}
	checkRoundTrip(t, c)
}
