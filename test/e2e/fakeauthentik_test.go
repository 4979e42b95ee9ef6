package e2e

import (
	"context"
	"io"
	"regexp"
	"testing"
)

// TestFakeAuthentik runs two processes of the service with one fake authentik, as its output says to.
func TestFakeAuthentik(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, done := newBuffer(), make(chan error, 1)
	go func() { done <- run(ctx, []string{"-fake-authentik", "127.0.0.1:0"}, nil, stdout, io.Discard) }()
	select {
	case <-stdout.Contains("Tokens: "):
	case err := <-done:
		t.Fatalf("it ended at once: %v", err)
	}
	setting := regexp.MustCompile(`AUTHENTIK_URL=http://127.0.0.1:\d+`).FindString(stdout.String())
	token := regexp.MustCompile(`Tokens: (\S+),`).FindStringSubmatch(stdout.String())
	if setting == "" || token == nil {
		t.Fatalf("no address or token:\n%s", stdout)
	}
	for range 2 {
		a := startApp(t, nil, setting)
		if got := query(t, a.URL, token[1], aliceCode); len(got.Errors) > 0 {
			t.Errorf("%s", got.Body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ended with: %v", err)
	}
}
