package upstream_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"authentik-graphql/upstream"
)

func TestErrorStore(t *testing.T) {
	for _, e := range []*upstream.Error{
		{Kind: upstream.NotFound, Status: 404, AuthentikID: "0a1b"},
		{Kind: upstream.RateLimited, Status: 429, RetryAfter: 60 * time.Second},
		{Kind: upstream.BadInput, Status: 400, Fields: []string{"user", "provider"}},
		{Kind: upstream.Timeout},
		{},
	} {
		got, err := upstream.RestoreError(upstream.EncodeError(e))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, error %v, want %+v", got, err, e)
		}
	}
	kept := upstream.EncodeError(&upstream.Error{Kind: upstream.Unavailable, Err: errors.New("dial tcp 10.1.2.3:9000")})
	if strings.Contains(string(kept), "10.1.2.3") {
		t.Errorf("the cause is stored: %s", kept)
	}
	for _, bad := range []string{"", "null and void", "[]", `{"kind":-1}`, `{"kind":99}`, `{"kind":"x"}`} {
		if e, err := upstream.RestoreError([]byte(bad)); err == nil {
			t.Errorf("%q restores to %+v", bad, e)
		}
	}
}

func FuzzRestoreError(f *testing.F) {
	f.Add(upstream.EncodeError(&upstream.Error{Kind: upstream.RateLimited, Status: 429, RetryAfter: time.Minute, Fields: []string{"user"}}))
	f.Add([]byte(`{"kind":10}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := upstream.RestoreError(b)
		if (e == nil) != (err != nil) {
			t.Fatalf("%+v and error %v", e, err)
		}
		if err != nil {
			return
		}
		if again, err := upstream.RestoreError(upstream.EncodeError(e)); err != nil || again.Error() != e.Error() {
			t.Errorf("got %v, error %v, want %v", again, err, e)
		}
	})
}
