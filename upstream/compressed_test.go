package upstream_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

// packed is a text in a coding: gzip, zlib or raw.
func packed(t testing.TB, coding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "raw":
		w, _ = flate.NewWriter(&b, flate.DefaultCompression)
	}
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCompressed reads answers in a coding that no call asked for.
func TestCompressed(t *testing.T) {
	const refused = `{"detail":"Token invalid/expired"}`
	long := strings.Replace(body, `"user":{`, `"user":{"name":"`+strings.Repeat("long ", 100<<10)+`",`, 1)
	huge := body + strings.Repeat(" ", upstream.MaxBody)
	for _, tt := range []struct {
		name, coding string
		status       int
		sent         string
		want         upstream.Kind // 0 for none
		cause        string
	}{
		{"gzip", "gzip", 200, packed(t, "gzip", body), 0, ""},
		{"gzip in other case", "GZIP", 200, packed(t, "gzip", body), 0, ""},
		{"its older name", "x-gzip", 200, packed(t, "gzip", body), 0, ""},
		{"deflate", "deflate", 200, packed(t, "zlib", body), 0, ""},
		{"deflate without zlib", "deflate", 200, packed(t, "raw", body), 0, ""},
		{"none by name", "identity", 200, body, 0, ""},
		{"one and none", "identity, gzip", 200, packed(t, "gzip", body), 0, ""},
		{"a long answer", "gzip", 200, packed(t, "gzip", long), 0, ""},
		{"a refusal", "gzip", 403, packed(t, "gzip", refused), upstream.Unauthenticated, ""},
		{"a row that is gone", "deflate", 404, packed(t, "zlib", `{"detail":"Not found."}`), upstream.NotFound, ""},
		{"over the cap", "gzip", 200, packed(t, "gzip", huge), upstream.InvalidResponse, "size cap"},
		{"over the cap, deflate", "deflate", 200, packed(t, "raw", huge), upstream.InvalidResponse, "size cap"},
		{"a page over the cap", "gzip", 500, packed(t, "gzip", huge), upstream.Failed, ""},
		{"twice", "gzip, gzip", 200, packed(t, "gzip", packed(t, "gzip", body)), upstream.InvalidResponse, "Content-Encoding"},
		{"another coding", "br", 200, "\x8b\x00", upstream.InvalidResponse, "Content-Encoding"},
		{"not compressed", "gzip", 200, body, upstream.InvalidResponse, "Content-Encoding"},
		{"a wrong checksum", "gzip", 200, packed(t, "gzip", body)[:len(packed(t, "gzip", body))-8] + "00000000", upstream.InvalidResponse, "Content-Encoding"},
		{"zlib, broken within", "deflate", 200, packed(t, "zlib", body)[:20] + "\xff\xff\xff\xff\xff\xff", upstream.InvalidResponse, ""},
		{"another coding of a failure", "br", 502, "\x8b\x00", upstream.Failed, ""},
		{"nothing", "gzip", 200, "", upstream.InvalidResponse, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept-Encoding"); got != "" {
					t.Errorf("asked for %s", got)
				}
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Encoding", tt.coding)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.sent)
			})
			got, err := client(t, server.URL).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			if tt.want == 0 {
				if err != nil || got.Value.PK != pk {
					t.Errorf("got %v, %v", got.Value, err)
				}
				return
			}
			if e := wantKind(t, err, tt.want); e.Status != tt.status || !strings.Contains(e.Error(), tt.cause) {
				t.Errorf("got %v", e)
			}
		})
	}
}

// TestCompressedCut tries once more when the connection breaks within a compressed answer.
func TestCompressedCut(t *testing.T) {
	whole, n := packed(t, "gzip", body), 0
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		if n++; n > 1 {
			answer(w, whole)
			return
		}
		w.Header().Set("Content-Length", "1000")
		answer(w, whole[:len(whole)/2])
	})
	got, err := client(t, server.URL).Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
	if err != nil || got.Value.PK != pk || n != 2 {
		t.Errorf("got %v, %v, %d tries", got.Value, err, n)
	}
}

// TestBombs reads bodies that decompress to far more than the cap, or to nothing however long they are. Neither takes
// more memory than a body of the cap.
func TestBombs(t *testing.T) {
	nothing := packed(t, "gzip", "")
	for name, bomb := range map[string]string{
		"64 MiB":        packed(t, "gzip", strings.Repeat(" ", 64<<20)),
		"empty members": strings.Repeat(nothing, (upstream.MaxBody+upstream.MaxBody/8)/len(nothing)),
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				answer(w, bomb)
			})
			c := client(t, server.URL)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.Retrieve(t.Context(), alice, upstream.AuthorizationCodes, pk)
			runtime.ReadMemStats(&after)
			if e := wantKind(t, err, upstream.InvalidResponse); !strings.Contains(e.Error(), "size cap") {
				t.Errorf("got %v", e)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > upstream.MaxBody+8*upstream.SmallBody {
				t.Errorf("%d KiB were allocated", took>>10)
			}
			if nothing, _ := c.LargeBodies(); !nothing {
				t.Error("the body still counts")
			}
		})
	}
}
