package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/httpserver"
	"authentik-graphql/upstream/upstreamtest"
)

// probe reads /readyz of the admin listener. Both listeners must report ready.
func probe(t *testing.T, a *instance) (now httpserver.Readiness, body string) {
	t.Helper()
	got, public := fetch(t, a.Admin+"/readyz"), fetch(t, a.URL+"/readyz")
	if got.Status != http.StatusOK || public.Status != http.StatusOK || string(public.Body) != "ready\n" {
		t.Errorf("%d, and for clients %d %s", got.Status, public.Status, public.Body)
	}
	if err := json.Unmarshal(got.Body, &now); err != nil {
		t.Fatalf("%v in %s", err, got.Body)
	}
	return now, string(got.Body)
}

func TestReadinessAtTheStart(t *testing.T) {
	_, a := newWorld(t, upstreamtest.Options{})
	const want = `{
  "state": "ready",
  "authentik": {
    "breaker": "closed",
    "lastAnswer": null,
    "lastFailure": null
  },
  "redis": {
    "state": "off"
  }
}
`
	if _, got := probe(t, a); got != want {
		t.Errorf("got %s", got)
	}
}

// TestReadinessWithoutAuthentik: the probe shows the failure, and the service stays ready.
func TestReadinessWithoutAuthentik(t *testing.T) {
	up, a := newWorld(t, upstreamtest.Options{})
	query(t, a.URL, upstreamtest.TokenAlice, `{ authorizationCode(id: 9) { id } }`) // NOT_FOUND counts as an answer
	before, _ := probe(t, a)
	if before.Authentik.LastAnswer == nil || time.Since(*before.Authentik.LastAnswer) > time.Minute || before.Authentik.LastFailure != nil {
		t.Fatalf("it answered: %+v", before.Authentik)
	}
	for id := range int32(30) {
		up.SetFault(100+id, upstreamtest.Error500)
		query(t, a.URL, upstreamtest.TokenAlice, fmt.Sprintf(`{ authorizationCode(id: %d) { id } }`, 100+id))
	}
	got, body := probe(t, a)
	if got.Authentik.Breaker == "closed" || got.Authentik.LastFailure == nil || got.Authentik.LastFailure.Kind != "failed" {
		t.Errorf("it fails: %s", body)
	}
	if got.Authentik.LastAnswer == nil || !got.Authentik.LastAnswer.Equal(*before.Authentik.LastAnswer) {
		t.Errorf("it answered at %s, not %s", got.Authentik.LastAnswer, before.Authentik.LastAnswer)
	}
}

// TestReadinessWithoutRedis: the service stays ready, the probe finds Redis again without other requests,
// and it does not show the secrets of REDIS_URL.
func TestReadinessWithoutRedis(t *testing.T) {
	t.Parallel()
	rs := cachetest.StartRedis(t, "--requirepass", "hunter2")
	_, a := newWorld(t, upstreamtest.Options{}, "REDIS_URL="+rs.URL(), "CACHE_SECRET="+testSecret)
	waitFor := func(state string, want httpserver.RedisDetail) {
		t.Helper()
		cachetest.Eventually(t, "Redis is "+state, func() bool {
			got, body := probe(t, a)
			if strings.Contains(body, "hunter2") || strings.Contains(body, rs.Addr()) {
				t.Fatalf("it tells %s", body)
			}
			return got.Redis.State == state && *got.Redis.RedisDetail == want
		})
	}
	waitFor("up", httpserver.RedisDetail{Breaker: "closed", InSync: true, Writable: true})
	rs.Kill()
	waitFor("down", httpserver.RedisDetail{Breaker: "open", Writable: true})
	rs.Restart()
	waitFor("up", httpserver.RedisDetail{Breaker: "closed", InSync: true, Writable: true})
}
