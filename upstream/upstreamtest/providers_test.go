package upstreamtest_test

import (
	"net/http"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// genericKeys are the keys that providers of every kind have, in the recorded order.
const genericKeys = "pk name authentication_flow authorization_flow invalidation_flow property_mappings component" +
	" assigned_application_slug assigned_application_name assigned_backchannel_application_slug" +
	" assigned_backchannel_application_name verbose_name verbose_name_plural meta_model_name"

// TestKeysOfNestedProvider checks which keys the provider of a grant has. They do not follow the number of
// the release: 2025.12.5 has fewer than 2026.2.2.
func TestKeysOfNestedProvider(t *testing.T) {
	for release, generic := range map[upstreamtest.Release]bool{
		upstreamtest.R2025_12: false, upstreamtest.R2025_12_5: true,
		upstreamtest.R2026_2: false, upstreamtest.R2026_2_3: true,
		upstreamtest.R2026_5: true, upstreamtest.R2026_8: true,
	} {
		for _, token := range []string{upstreamtest.TokenAlice, upstreamtest.TokenRoot} {
			t.Run(string(release)+" "+token, func(t *testing.T) {
				fake := upstreamtest.New(upstreamtest.Options{Release: release})
				fake.AddCode(upstreamtest.Code{Owner: upstreamtest.UserAlice, Expires: anHourAhead})
				srv := start(t, fake)
				_, _, body := send(t, http.MethodGet, srv.URL+upstreamtest.Path+"1/", bearer(token))
				got := strings.Join(parse(t, body).items[1].keys, " ")
				if generic && got != genericKeys || !generic && !strings.HasPrefix(got, genericKeys+" client_type client_id ") {
					t.Errorf("keys %s", got)
				}
			})
		}
	}
}
