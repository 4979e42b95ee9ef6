package docs

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

// section returns the part of operations.md below a heading, up to the next heading of its level.
func section(t *testing.T, heading string) string {
	t.Helper()
	level, _, _ := strings.Cut(heading, " ")
	_, after, found := strings.Cut(servicetest.File(t, "docs/operations.md"), "\n"+heading+"\n")
	if !found {
		t.Fatalf("operations.md has no %q", heading)
	}
	part, _, _ := strings.Cut(after, "\n"+level+" ")
	return part
}

// TestOperationsLog: the table has each field of a request's log line.
func TestOperationsLog(t *testing.T) {
	up := servicetest.StartAuthentik(t, upstreamtest.Options{})
	token, list := write(t, "token", upstreamtest.TokenRoot), write(t, "callers", fmt.Sprintf("a %x\n", sha256.Sum256([]byte("t1"))))
	service := servicetest.Start(t, servicetest.Build(t), nil, "LOG_LEVEL=debug", "AUTHENTIK_URL="+up.URL, "AUTHENTIK_TOKEN_FILE="+token, "CALLERS_FILE="+list)
	up.SetFault(17, upstreamtest.Error500)
	servicetest.Query(t, service.URL, "t1", `query named { authorizationCode(id: 17) { id } }`)
	servicetest.Query(t, service.URL, "t1", `{ authorizationCodes { totalCount } }`)
	<-service.Log.Contains(`"cache":`)
	table, fields := section(t, "## Log lines"), map[string]bool{}
	for _, line := range service.Log.Lines() {
		for field := range line {
			if line["msg"] == "request" {
				fields[field] = true
			}
		}
	}
	if len(fields) < 15 {
		t.Errorf("only %v were logged", slices.Sorted(maps.Keys(fields)))
	}
	for field := range fields {
		if !strings.Contains(table, "`"+field+"`") {
			t.Errorf("the table does not have %s", field)
		}
	}
}

// TestOperationsProbe: the example of a probe has the fields of a real one.
func TestOperationsProbe(t *testing.T) {
	redis, up := cachetest.StartRedis(t), servicetest.StartAuthentik(t, upstreamtest.Options{})
	service := servicetest.Start(t, servicetest.Build(t), nil, "ADMIN_ADDR=127.0.0.1:0", "AUTHENTIK_URL="+up.URL, "REDIS_URL="+redis.URL(),
		"CACHE_SECRET=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	up.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: time.Now().Add(time.Hour)})
	up.SetFault(18, upstreamtest.Error500)
	servicetest.Query(t, service.URL, upstreamtest.TokenAlice, `{ a: authorizationCode(id: 17) { id } b: authorizationCode(id: 18) { id } }`)
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section(t, "## Probes"))[1]
	probe := servicetest.Send(t, servicetest.NewRequest(t, http.MethodGet, service.Admin+"/readyz", nil))
	fields := regexp.MustCompile(`"(\w+)":`)
	if got, want := fields.FindAllString(string(probe.Body), -1), fields.FindAllString(example, -1); !slices.Equal(got, want) {
		t.Errorf("the probe has %q, the example %q", got, want)
	}
}
