package config

import (
	"slices"
	"testing"
)

func TestHints(t *testing.T) {
	for _, tt := range []struct {
		environ string
		want    []string
	}{
		{"CACHE_TLL=5s", []string{"CACHE_TLL is no setting; is CACHE_TTL meant?"}},
		{"CACHE_SECRET_FLIE=x", []string{"CACHE_SECRET_FLIE is no setting; is CACHE_SECRET_FILE meant?"}},
		{"UPSTREAM_TIMEOUTS=1s", []string{"UPSTREAM_TIMEOUTS is no setting; is UPSTREAM_TIMEOUT meant?"}},
		{"MAX_NAME=128", []string{"MAX_NAME is no longer a setting; docs/tuning.md lists the limits that are fixed"}},
		{"CACHE_TTL=5s", nil},
		{"CACHE_TLL=", nil},
		{"PATH=/bin", nil},
		{"HOME=/root", nil},
		{"GOMEMLIMIT=1GiB", nil},
		{"REDIS_HOST=redis", nil},
	} {
		if got := Hints([]string{tt.environ}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.environ, got)
		}
	}
	for _, s := range Settings() {
		if got := Hints([]string{s.Name + "=x"}); got != nil {
			t.Errorf("%q", got)
		}
	}
}
