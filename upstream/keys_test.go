package upstream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"authentik-graphql/upstream"
)

// TestRecordedKeys checks which known keys the recorded answers of each release lack, and that no key is unknown.
// docs/releases.md names the same keys.
func TestRecordedKeys(t *testing.T) {
	lacking := map[string]string{ // by the contract of authentik's API
		"2023.10.7": "group.parent_name provider.assigned_backchannel_application_name provider.assigned_backchannel_application_slug " +
			"provider.encryption_key provider.grant_types provider.invalidation_flow provider.jwt_federation_providers " +
			"provider.jwt_federation_sources provider.logout_method provider.logout_uri provider.refresh_token_threshold " +
			"user.date_joined user.last_updated user.password_change_date user.roles user.roles_obj",
		"2024.8.4": "provider.assigned_backchannel_application_name provider.assigned_backchannel_application_slug " +
			"provider.encryption_key provider.grant_types provider.invalidation_flow provider.jwt_federation_providers " +
			"provider.jwt_federation_sources provider.logout_method provider.logout_uri provider.refresh_token_threshold " +
			"user.date_joined user.last_updated user.password_change_date user.roles user.roles_obj",
		"2024.8.6": "provider.assigned_backchannel_application_name provider.assigned_backchannel_application_slug " +
			"provider.encryption_key provider.grant_types provider.invalidation_flow provider.jwt_federation_providers " +
			"provider.jwt_federation_sources provider.logout_method provider.logout_uri provider.refresh_token_threshold " +
			"redirect_uri.redirect_uri_type user.date_joined user.last_updated user.password_change_date user.roles user.roles_obj",
		"2025.8.6": "provider.grant_types provider.logout_method provider.logout_uri provider.refresh_token_threshold " +
			"redirect_uri.redirect_uri_type user.roles user.roles_obj",
		"2025.12.4":    "group.parent group.parent_name provider.grant_types redirect_uri.redirect_uri_type",
		"2026.2.2":     "group.parent group.parent_name provider.grant_types redirect_uri.redirect_uri_type",
		"2026.5.0-rc1": "group.parent group.parent_name",
	}
	all := map[string]bool{}
	for _, keys := range lacking {
		for _, key := range strings.Fields(keys) {
			all[key] = true
		}
	}
	if documented := documentedKeys(t); !maps.Equal(documented, all) {
		t.Errorf("docs/releases.md names\n%v, want\n%v", documented, all)
	}
	for release, want := range lacking {
		t.Run(release, func(t *testing.T) {
			all, rows := recordings(t, release)
			lacks := map[string]bool{}
			for _, r := range all {
				if r.Status != http.StatusOK || len(r.Rows) == 0 {
					continue
				}
				absent, unknown := r.keys(t, rows)
				for key := range absent {
					lacks[key.Object+"."+key.Field] = true
				}
				if len(unknown) > 0 {
					t.Errorf("%s: unknown %v", r.Cases[0], unknown)
				}
			}
			if got := strings.Join(slices.Sorted(maps.Keys(lacks)), " "); got != want {
				t.Errorf("absent %s\nwant   %s", got, want)
			}
		})
	}
}

// documentedKeys are the keys that docs/releases.md names as absent by design from releases that were recorded.
func documentedKeys(t *testing.T) map[string]bool {
	t.Helper()
	page, err := os.ReadFile("../docs/releases.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n| Key | Absent |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	keys := map[string]bool{}
	for _, key := range regexp.MustCompile("`([a-z0-9_]+\\.[a-z0-9_]+)`").FindAllStringSubmatch(table, -1) {
		keys[key[1]] = true
	}
	delete(keys, "provider.client_secret") // no such release was recorded
	return keys
}

// keys are those that a client counts in an answer.
func (r recording) keys(t *testing.T, rows []json.RawMessage) (absent, unknown map[upstream.Key]int64) {
	t.Helper()
	server := serve(t, r.answer(t, rows))
	defer server.Close()
	c := client(t, server.URL)
	switch first := pkOf(t, rows[r.Rows[0]-1]); r.Request {
	case "retrieve":
		_, _ = c.Retrieve(t.Context(), alice, r.Resource, first)
	case "list":
		_, _ = c.List(t.Context(), alice, r.Resource, upstream.Query{First: 100, MaxCalls: 1}, nil)
	case "provider":
		_, _ = c.Provider(t.Context(), alice, first)
	case "providers":
		_, _ = c.Providers(t.Context(), alice)
	}
	return c.Keys()
}

// wholeGrant is a token that lacks no key.
var wholeGrant = strings.Replace(everyField, `{"pk":7,`, `{"pk":17,`, 1)

// TestKeysOfAnAnswer counts keys of one answer.
func TestKeysOfAnAnswer(t *testing.T) {
	key := func(name string) upstream.Key {
		object, field, _ := strings.Cut(name, ".")
		return upstream.Key{Object: object, Field: field}
	}
	long := strings.Repeat("k", 64)
	for _, tt := range []struct {
		name, old, replaced string // in the token
		absent, unknown     string
	}{
		{name: "nothing"},
		{"absent", `"username":"u",`, ``, "user.username=1", ""},
		{"null", `"username":"u",`, `"username":null,`, "", ""},
		{"of another form", `"username":"u",`, `"username":[{"a":1}],`, "", ""},
		{"twice", `"username":"u",`, `"username":"u","username":"v",`, "", ""},
		{"by an earlier name", `"logout_uri":`, `"backchannel_logout_uri":`, "provider.logout_uri=1", ""},
		{"unknown", `"username":"u",`, `"username":"u","nick":"n",`, "", "user.nick=1"},
		{"unknown twice", `"username":"u",`, `"username":"u","nick":"n","nick":"n",`, "", "user.nick=2"},
		{"renamed", `"username":"u",`, `"login":"u",`, "user.username=1", "user.login=1"},
		{"of the grant", `"revoked":false,`, `"withdrawn":false,`, "grant.revoked=1", "grant.withdrawn=1"},
		{"of the provider", `"sub_mode":`, `"submode":`, "provider.sub_mode=1", "provider.submode=1"},
		{"of a URI", `"matching_mode":`, `"mode":`, "redirect_uri.matching_mode=1", "redirect_uri.mode=1"},
		{"of a group", `"num_pk":`, `"num":`, "group.num_pk=1", "group.num=1"},
		{"of a role", `"roles_obj":[{"pk":"` + aUUID + `","name":"n"}]`, `"roles_obj":[{"pk":"` + aUUID + `","title":"n"}]`, "role.name=1", "role.title=1"},
		{"escaped", `"username":`, `"\u0075sername":`, "", ""},
		{"unknown and escaped", `"username":"u",`, `"username":"u","nic\u006b":"n",`, "", "user.nick=1"},
		{"within what is unknown", `"username":"u",`, `"username":"u","nick":{"a":[{"b":1}]},`, "", "user.nick=1"},
		{"within attributes", `"attributes":{},"uid"`, `"attributes":{"a":{"b":1}},"uid"`, "", ""},
		{"within claims", `"id_token":"{\"sub\":1}"`, `"id_token":"{\"sub\":1,\"x\":{\"y\":1}}"`, "", ""},
		{"no name for a label", `"username":"u",`, `"username":"u","Nick":1,"":1,"n\u00fc":1,"` + long + `k":1,`, "", "user.other=4"},
		{"a long name", `"username":"u",`, `"username":"u","` + long + `":1,`, "", "user." + long + "=1"},
		{"provider of another form", `"provider":{`, `"provider":1,"client":{`, "", "grant.client=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.Replace(wholeGrant, tt.old, tt.replaced, 1)
			if tt.old != "" && body == wholeGrant {
				t.Fatalf("no %s in %s", tt.old, wholeGrant)
			}
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, body) })
			c := client(t, server.URL)
			_, _ = c.Retrieve(t.Context(), alice, upstream.AccessTokens, pk)
			absent, unknown := c.Keys()
			checkKeys(t, "absent", absent, tt.absent)
			checkKeys(t, "unknown", unknown, tt.unknown)
			absent[key("user.name")] = 9 // a copy
			unknown[key("user.name")] = 9
			absent, unknown = c.Keys()
			checkKeys(t, "absent", absent, tt.absent)
			checkKeys(t, "unknown", unknown, tt.unknown)
		})
	}
}

func checkKeys(t *testing.T, what string, got map[upstream.Key]int64, want string) {
	t.Helper()
	var all []string
	for key, n := range got {
		all = append(all, fmt.Sprintf("%s.%s=%d", key.Object, key.Field, n))
	}
	slices.Sort(all)
	if text := strings.Join(all, " "); text != want {
		t.Errorf("%s: %s, want %s", what, text, want)
	}
}

// TestKeysThatAreNotMissed checks that a code lacks what tokens have, that a grant's provider lacks the OAuth2
// settings if it is partial, and that a provider that is read by itself should lack nothing.
func TestKeysThatAreNotMissed(t *testing.T) {
	generic := `{"pk":17,"name":"n","authentication_flow":null,"authorization_flow":null,"invalidation_flow":null,` +
		`"property_mappings":[],"component":"c","assigned_application_slug":"s","assigned_application_name":"n",` +
		`"assigned_backchannel_application_slug":null,"assigned_backchannel_application_name":null,"verbose_name":"v",` +
		`"verbose_name_plural":"v","meta_model_name":"m"}`
	settings := "provider.access_code_validity=1 provider.access_token_validity=1 provider.client_id=1 provider.client_secret=1 " +
		"provider.client_type=1 provider.encryption_key=1 provider.grant_types=1 provider.include_claims_in_id_token=1 " +
		"provider.issuer_mode=1 provider.jwt_federation_providers=1 provider.jwt_federation_sources=1 provider.logout_method=1 " +
		"provider.logout_uri=1 provider.redirect_uris=1 provider.refresh_token_threshold=1 provider.refresh_token_validity=1 " +
		"provider.signing_key=1 provider.sub_mode=1"
	before, rest, _ := strings.Cut(wholeGrant, `"provider":`)
	_, after, _ := strings.Cut(rest, `"user":`)
	partial := before + `"provider":` + generic + `,"user":` + after
	code := strings.NewReplacer(`,"revoked":false`, ``, `,"id_token":"{\"sub\":1}"`, ``).Replace(wholeGrant)
	page := func(row string) string { return hostile(pagination(1, 1, 1, 1, 1), "["+row+"]") }
	retrieve := func(resource upstream.Resource) func(*upstream.Client) {
		return func(c *upstream.Client) { _, _ = c.Retrieve(t.Context(), alice, resource, pk) }
	}
	list := func(resource upstream.Resource) func(*upstream.Client) {
		return func(c *upstream.Client) {
			_, _ = c.List(t.Context(), alice, resource, upstream.Query{First: 1, MaxCalls: 1}, nil)
		}
	}
	for _, tt := range []struct {
		name   string
		body   string
		call   func(*upstream.Client)
		absent string
	}{
		{"token", wholeGrant, retrieve(upstream.RefreshTokens), ""},
		{"code", code, retrieve(upstream.AuthorizationCodes), ""},
		{"token without what tokens have", code, retrieve(upstream.AccessTokens), "grant.id_token=1 grant.revoked=1"},
		{"codes", page(code), list(upstream.AuthorizationCodes), ""},
		{"tokens without what tokens have", page(code), list(upstream.RefreshTokens), "grant.id_token=1 grant.revoked=1"},
		{"partial provider", partial, retrieve(upstream.AccessTokens), ""},
		{"partial providers", page(partial), list(upstream.AccessTokens), ""},
		{
			"partial provider without a name", strings.Replace(partial, `"name":"n",`, ``, 1),
			retrieve(upstream.AccessTokens), "provider.name=1",
		},
		{"provider by itself", generic, func(c *upstream.Client) { _, _ = c.Provider(t.Context(), alice, pk) }, settings},
		{
			"providers", `{"results":[` + generic + `],"pagination":{"next":0}}`,
			func(c *upstream.Client) { _, _ = c.Providers(t.Context(), alice) }, settings,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, tt.body) })
			c := client(t, server.URL)
			tt.call(c)
			absent, unknown := c.Keys()
			checkKeys(t, "absent", absent, tt.absent)
			checkKeys(t, "unknown", unknown, "")
		})
	}
}

// TestManyUnknownKeys checks that 32 unknown keys are counted by name and logged, each once, and that calls at
// once are counted right.
func TestManyUnknownKeys(t *testing.T) {
	var log lockedBuffer
	var members strings.Builder
	for i := range 40 {
		fmt.Fprintf(&members, `"key_%d":"TELLTALE",`, i)
	}
	body := strings.NewReplacer(`"username":`, members.String()+`"username":`, `"num_pk":`, members.String()+`"num_pk":`).Replace(wholeGrant)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, body) })
	c := client(t, server.URL, func(o *upstream.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	const workers, rounds = 4, 5
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for range rounds {
				if _, err := c.Retrieve(t.Context(), alice, upstream.AccessTokens, pk); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	_, unknown := c.Keys()
	named, total := 0, int64(0)
	for key, n := range unknown {
		total += n
		if key.Field != "other" {
			named++
		}
	}
	if named != 32 || len(unknown) > 34 || total != workers*rounds*80 {
		t.Errorf("%d names, %d in total: %v", named, total, unknown)
	}
	text := log.String()
	if strings.Count(text, "\n") != 32 || strings.Count(text, "field=key_7\n") != 1 || strings.Contains(text, "TELLTALE") {
		t.Errorf("log: %s", text)
	}
}

// lockedBuffer is a buffer for several writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
