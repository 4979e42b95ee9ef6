package graph

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"authentik-graphql/graph/model"
	"authentik-graphql/graph/scalar"
	"authentik-graphql/upstream"
)

func TestEnums(t *testing.T) {
	text := func(s string) *string { return &s }
	tests := []struct {
		name string
		in   *string
		want string
	}{
		{"absent", nil, "null"},
		{"known", text("service_account"), `"SERVICE_ACCOUNT"`},
		{"of a later release", text("robot"), `"UNKNOWN"`},
		{"empty", text(""), `"UNKNOWN"`},
		{"strange", text("internal\n"), `"UNKNOWN"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(enum[model.UserType](tt.in))
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// TestEnumsKnowEveryValue lists authentik's values of every release, none of which may be UNKNOWN.
func TestEnumsKnowEveryValue(t *testing.T) {
	check := func(name, list string, show func(*string) string) {
		for value := range strings.FieldsSeq(list) {
			if got := show(&value); got != strings.ToUpper(value) {
				t.Errorf("%s: %s is %s", name, value, got)
			}
		}
	}
	check("client_type", "confidential public", func(s *string) string { return enum[model.ClientType](s).String() })
	check("matching_mode", "strict regex", func(s *string) string { return enum[model.RedirectURIMatchingMode](s).String() })
	check("logout_method", "backchannel frontchannel", func(s *string) string { return enum[model.LogoutMethod](s).String() })
	check("sub_mode", "hashed_user_id user_id user_uuid user_username user_email user_upn",
		func(s *string) string { return enum[model.SubMode](s).String() })
	check("issuer_mode", "global per_provider", func(s *string) string { return enum[model.IssuerMode](s).String() })
	check("type", "internal external service_account internal_service_account",
		func(s *string) string { return enum[model.UserType](s).String() })
}

func TestIsExpiredFollowsTheClock(t *testing.T) {
	end := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name string
		code upstream.Grant
		now  time.Time
		want bool
	}{
		{"before its end", upstream.Grant{EndsAt: end}, end.Add(-time.Microsecond), false},
		{"at its end", upstream.Grant{EndsAt: end}, end, true},
		{"authentik said so", upstream.Grant{Expired: true, Expires: &end}, end.Add(-time.Hour), true},
		{"never ends", upstream.Grant{Expires: &end}, end.Add(time.Hour), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mapCode(&tt.code, end, tt.now).IsExpired; got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestDateTime(t *testing.T) {
	tests := []struct {
		name string
		in   time.Time
		want string
	}{
		{"no fraction", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05Z"},
		{"microseconds", time.Date(2026, 1, 2, 3, 4, 5, 123456000, time.UTC), "2026-01-02T03:04:05.123456Z"},
		{"trailing zeros", time.Date(2026, 1, 2, 3, 4, 5, 100000000, time.UTC), "2026-01-02T03:04:05.100000Z"},
		{"nanoseconds are cut", time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC), "2026-01-02T03:04:05Z"},
		{"another zone", time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), "2026-01-02T02:04:05Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			scalar.MarshalDateTime(tt.in).MarshalGQL(&b)
			if b.String() != `"`+tt.want+`"` {
				t.Errorf("got %s", b.String())
			}
		})
	}
}

func TestOperationNameInTheLog(t *testing.T) {
	for in, want := range map[string]string{"": "", "Poll_1": "Poll_1", "a\nb\"<ü>": "ab", strings.Repeat("x", 99): strings.Repeat("x", 64)} {
		if got := cleanName(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}
