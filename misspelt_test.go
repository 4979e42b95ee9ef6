package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

func TestMisspelt(t *testing.T) {
	for _, tt := range []struct {
		environ string
		want    []string
	}{
		{"CACHE_TLL=5s", []string{"CACHE_TLL is no setting; is CACHE_TTL meant?"}},
		{"CACHE_SECRET_FLIE=x", []string{"CACHE_SECRET_FLIE is no setting; is CACHE_SECRET_FILE meant?"}},
		{"UPSTREAM_TIMEOUTS=1s", []string{"UPSTREAM_TIMEOUTS is no setting; is UPSTREAM_TIMEOUT meant?"}},
		{"MAX_NAME=128", []string{"MAX_NAME is no longer a setting; its value is fixed at 128"}},
		{"CACHE_TTL=5s", nil},
		{"CACHE_TLL=", nil},
		{"PATH=/bin", nil},
		{"HOME=/root", nil},
		{"GOMEMLIMIT=1GiB", nil},
		{"REDIS_HOST=redis", nil},
	} {
		if got := misspelt([]string{tt.environ}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.environ, got)
		}
	}
	for _, s := range settings() {
		if got := misspelt([]string{s.Name + "=x"}); got != nil {
			t.Errorf("%q", got)
		}
	}
}

// TestMisspeltIsTold at the start, and by -check, and never with a value.
func TestMisspeltIsTold(t *testing.T) {
	up := startFake(t, upstreamtest.Options{})
	a := startApp(t, nil, "AUTHENTIK_URL="+up.URL, "CACHE_SECRTE=telltale")
	if log := a.Log.String(); !strings.Contains(log, `"level":"WARN"`) || !strings.Contains(log, "CACHE_SECRTE is no setting; is CACHE_SECRET meant?") || strings.Contains(log, "telltale") {
		t.Errorf("%s", log)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-check"}, []string{"AUTHENTIK_URL=" + up.URL, "CACHE_TLL=5s"}, &out, &out); err != nil || !strings.Contains(out.String(), "CACHE_TLL is no setting; is CACHE_TTL meant?") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
