package e2e

import "testing"

func TestFederationOff(t *testing.T) {
	a := startApp(t, []string{"-demo"}, "FEDERATION=false")
	for _, document := range []string{
		`{ _service { sdl } }`,
		`{ _entities(representations: [{__typename: "AuthorizationCode", id: 17}]) { __typename } }`,
	} {
		if got := query(t, a.URL, "demo-alice", document); got.Codes() != "FEDERATION_DISABLED" {
			t.Errorf("%s: %s", document, got.Body)
		}
	}
	if got := query(t, a.URL, "demo-alice", aliceCode); got.Codes() != "" {
		t.Errorf("other fields: %s", got.Body)
	}
}
