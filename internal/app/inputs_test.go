package app

import (
	"strings"
	"testing"
)

const (
	testSecret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	testURL    = "AUTHENTIK_URL=https://auth.example.com"
)

// TestInputMistakes checks that files and addresses that cannot be used are reported with the mistakes of settings.
func TestInputMistakes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		environ []string
		want    []string // each in the error, all together
	}{
		{"not a Redis URL", []string{testURL, "REDIS_URL=http://:s3cr3t@127.0.0.1", "CACHE_SECRET=" + testSecret}, []string{"REDIS_URL is not a redis://"}},
		{"several Redis", []string{testURL, "REDIS_URL=redis://:s3cr3t@127.0.0.1?addr=127.0.0.1:1"}, []string{"REDIS_URL has the parameter addr, which is for REDIS_MODE=cluster"}},
		{"database of a cluster", []string{testURL, "REDIS_URL=redis://:s3cr3t@127.0.0.1/1", "REDIS_MODE=cluster"}, []string{"REDIS_URL must not have a database number"}},
		{"socket of a cluster", []string{testURL, "REDIS_URL=unix:///s", "REDIS_MODE=cluster"}, []string{"REDIS_URL must not be a unix:// URL"}},
		{"no master name", []string{testURL, "REDIS_URL=redis://:s3cr3t@127.0.0.1", "REDIS_MODE=sentinel"}, []string{"REDIS_URL lacks the parameter master_name"}},
		{"unverified Redis", []string{testURL, "REDIS_URL=rediss://:s3cr3t@127.0.0.1?skip_verify=true"}, []string{"REDIS_URL must not have skip_verify", "REDIS_CA_FILE"}},
		{"no Redis CA file", []string{testURL, "REDIS_URL=rediss://:s3cr3t@127.0.0.1", "REDIS_CA_FILE=testdata/none.pem"}, []string{"REDIS_CA_FILE cannot be read"}},
		{"Redis CA file without certificate", []string{testURL, "REDIS_URL=rediss://:s3cr3t@127.0.0.1", "REDIS_CA_FILE=doc.go"}, []string{"REDIS_CA_FILE holds no PEM certificate"}},
		{"all at once", []string{"CACHE_TTL=x", "REDACT=x", "REDIS_URL=x", "AUTHENTIK_CA_FILE=none", "TRUSTED_DOCUMENTS=none"},
			[]string{"AUTHENTIK_URL", "CACHE_TTL", "REDACT", "REDIS_URL", "CACHE_SECRET", "AUTHENTIK_CA_FILE cannot be read", "TRUSTED_DOCUMENTS cannot be read"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(Options{Environ: tt.environ}, false)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}
