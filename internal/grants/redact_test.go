package grants

import (
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

func TestParseRedaction(t *testing.T) {
	const secret = "OAuth2Provider.clientSecret"
	tests := []struct {
		name string
		list []string
		want string // the canonical set
		err  string // or what the error names
	}{
		{"default", nil, secret, ""},
		{"empty items", []string{"", " "}, secret, ""},
		{"added", []string{"User.email"}, secret + ",User.email", ""},
		{"with blanks", []string{" User.email "}, secret + ",User.email", ""},
		{"taken away", []string{"-" + secret}, "", ""},
		{"none", []string{"none"}, "", ""},
		{"none, then one", []string{"none", "User.email"}, "User.email", ""},
		{"deprecated name", []string{"OAuth2Provider.jwksSources"}, secret + ",OAuth2Provider.jwtFederationSources", ""},
		{"deprecated name taken away", []string{"OAuth2Provider.logoutUri", "-OAuth2Provider.backchannelLogoutUri"}, secret, ""},
		{"twice", []string{"User.email", "User.email"}, secret + ",User.email", ""},
		{"unknown type", []string{"Person.email"}, "", `"Person.email"`},
		{"unknown field", []string{"User.e-mail"}, "", `"User.e-mail"`},
		{"no field", []string{"User"}, "", `"User"`},
		{"unknown, taken away", []string{"-User.nothing"}, "", `"User.nothing"`},
		{"non-null", []string{"AuthorizationCode.scope"}, "", `"AuthorizationCode.scope" cannot be redacted`},
		{"key", []string{"User.id"}, "", `"User.id" cannot be redacted`},
		{"the query itself", []string{"Query.authorizationCode"}, "", `"Query.authorizationCode"`},
		{"an enum value", []string{"UserType.INTERNAL"}, "", `"UserType.INTERNAL"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRedaction(tt.list)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one that names %s", err, tt.err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// FuzzRedaction checks that any list is a redaction that can be applied, or an error.
func FuzzRedaction(f *testing.F) {
	f.Add("User.email,-OAuth2Provider.clientSecret,none")
	f.Add("Query._service")
	f.Fuzz(func(t *testing.T, list string) {
		if r, err := ParseRedaction(strings.Split(list, ",")); err == nil {
			r.Apply(upstream.AuthorizationCodes, &upstream.Grant{Provider: &upstream.Provider{}, User: &upstream.User{}})
		}
	})
}
