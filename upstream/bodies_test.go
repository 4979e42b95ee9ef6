package upstream_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"authentik-graphql/upstream"
)

// TestBodiesAreApart runs calls at once and checks that neither they nor their errors keep anything of
// one another's bodies, of any size and however they arrive.
func TestBodiesAreApart(t *testing.T) {
	const workers, rounds = 24, 20
	sizes := []int{0, 100, 5000, 15_000, 70_000, 400_000}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		caller, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		id, _ := strconv.Atoi(strings.Trim(r.URL.Path[strings.LastIndexByte(strings.TrimSuffix(r.URL.Path, "/"), '/'):], "/"))
		w.Header().Set("Content-Type", "application/json")
		if id%4 == 0 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"%s":["no"]%s}`, caller, strings.Repeat(" ", sizes[id/4%4]))
			return
		}
		text := []byte(strings.Replace(with("user", fmt.Sprintf(`"name":%q,"attributes":{"a":%q}`, caller, strings.Repeat(caller, sizes[id%len(sizes)]/len(caller)))), `"pk":7`, `"pk":`+strconv.Itoa(id), 1))
		if id%3 > 0 {
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		}
		_, _ = w.Write(text)
	})
	c := client(t, server.URL)
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			caller := "caller_" + string(rune('a'+worker))
			cred := upstream.NewCredential(caller)
			for n := range rounds {
				id := worker*rounds + n + 1
				got, err := c.Retrieve(t.Context(), cred, upstream.AuthorizationCodes, upstream.PK(id))
				if id%4 == 0 {
					if e := wantKind(t, err, upstream.BadInput); len(e.Fields) != 1 || e.Fields[0] != caller {
						t.Errorf("%s is told of %q", caller, e.Fields)
					}
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				want := fmt.Appendf(nil, `{"a":%q}`, strings.Repeat(caller, sizes[id%len(sizes)]/len(caller)))
				if u := got.Value.User; *u.Name != caller || !bytes.Equal(u.Attributes, want) {
					t.Errorf("%s got a code of %s", caller, *u.Name)
				}
			}
		})
	}
	running.Wait()
}
