package upstream_test

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

// liveHeap is what the heap holds when all garbage is gone. The second run frees what the first
// one found to be garbage only after finalizers and pools had let it go.
func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// checkSize compares the size of a code with what copies of it add to the heap. Under the truth, a
// cache would outgrow its bound; far over it, it would hold less than it could. A quarter is left
// for small texts and flags, each counted with the whole block that it may share with another.
func checkSize(t *testing.T, decode func() *upstream.Grant) {
	t.Helper()
	size := decode().Size()
	codes := make([]*upstream.Grant, max(8, 2<<20/size)) // enough to drown what the runtime does meanwhile
	before := liveHeap()
	for i := range codes {
		codes[i] = decode()
	}
	held := (liveHeap() - before) / len(codes)
	runtime.KeepAlive(codes)
	runtime.KeepAlive(decode) // and what it decodes, which the first measure had seen
	t.Logf("size %d, held %d bytes", size, held)
	if size < held || size > held+held/4 {
		t.Errorf("size %d, but %d bytes are held", size, held)
	}
}

func TestSize(t *testing.T) {
	const n = 10000
	many := func(s string) string { return strings.Repeat(s+",", n-1) + s }
	bodies := map[string]string{
		"small":                    minimal,
		"attributes":               with("user", `"attributes":"`+strings.Repeat("a", n)+`"`),
		"scopes without text":      with("", `"scope":[`+many(`""`)+`]`),
		"scopes":                   with("", `"scope":[`+many(`"email offline_access"`)+`]`),
		"lines of redirect URIs":   with("provider", `"redirect_uris":"`+strings.Repeat(`https://app.example.com/callback\n`, n)+`"`),
		"redirect URIs":            with("provider", `"redirect_uris":[`+many(`{"matching_mode":"strict","url":"https://app.example.com/callback"}`)+`]`),
		"redirect URIs of nothing": with("provider", `"redirect_uris":[`+many(`{}`)+`]`),
		"groups": with("user", `"groups_obj":[`+many(`{"pk":"22222222-2222-4222-8222-222222222222","num_pk":45370,`+
			`"name":"engineers","is_superuser":false,"parent":null,"attributes":{"vpn":{"mtu":1400}}}`)+`]`),
		"what is not kept": with("", `"unknown":"`+strings.Repeat("a", n)+`"`),
	}
	for _, release := range recordedReleases(t) {
		all := recordings(t, release)
		i := slices.IndexFunc(all, func(r recording) bool { return r.Body != nil })
		bodies[release] = string(all[i].Body)
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			checkSize(t, func() *upstream.Grant {
				c, _, err := upstream.DecodeGrant(bytes.Clone([]byte(body)), sent)
				if err != nil {
					t.Fatal(err)
				}
				return c
			})
			stored := upstream.EncodeGrant(first(decode(t, body)))
			checkSize(t, func() *upstream.Grant {
				c, err := upstream.RestoreGrant(bytes.Clone(stored))
				if err != nil {
					t.Fatal(err)
				}
				return c
			})
		})
	}
}

func first[A, B any](a A, _ B) A { return a }
