package upstreamtest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"authentik-graphql/upstream/upstreamtest"
)

// The fake must stay cheap beside what is measured with it.
func BenchmarkRetrieve(b *testing.B) {
	fake := upstreamtest.New(upstreamtest.Options{})
	fake.AddCode(upstreamtest.Code{PK: 17, Owner: upstreamtest.UserAlice, Expires: anHourAhead})
	req := httptest.NewRequest(http.MethodGet, upstreamtest.Path+"17/", nil)
	req.Header = bearer(upstreamtest.TokenAlice)
	for b.Loop() {
		fake.ServeHTTP(httptest.NewRecorder(), req)
	}
}
