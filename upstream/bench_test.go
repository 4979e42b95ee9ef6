package upstream_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

func BenchmarkDecodeCode(b *testing.B) {
	body := recordedCode(b, "2026.2.2", "retrieve-own")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := upstream.DecodeGrant(body, sent); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeCode(b *testing.B) {
	c, _, err := upstream.DecodeGrant(recordedCode(b, "2026.2.2", "retrieve-own"), sent)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		upstream.EncodeGrant(c)
	}
}

func BenchmarkRestoreCode(b *testing.B) {
	c, _, err := upstream.DecodeGrant(recordedCode(b, "2026.2.2", "retrieve-own"), sent)
	if err != nil {
		b.Fatal(err)
	}
	stored := upstream.EncodeGrant(c)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := upstream.RestoreGrant(stored); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCredentialDigest(b *testing.B) {
	cred := upstream.NewCredential("0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmn") // as long as authentik makes them
	if cred.IsZero() {
		b.Fatal("no credential")
	}
	b.ReportAllocs()
	for b.Loop() {
		digester.Digest(cred)
	}
}

// BenchmarkRetrieve is a whole call over the loopback, with what the server beside it allocates.
func BenchmarkRetrieve(b *testing.B) {
	recorded := string(recordedCode(b, "2026.2.2", "retrieve-own"))
	for _, bm := range []struct {
		name    string
		padding int
		chunked bool
	}{
		{"recorded", 0, false},
		{"recorded, in chunks", 0, true},
		{"1 MiB", 1 << 20, false},
		{"1 MiB, in chunks", 1 << 20, true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			text := strings.Repeat(" ", bm.padding) + recorded
			server := serve(b, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if !bm.chunked {
					w.Header().Set("Content-Length", strconv.Itoa(len(text)))
				} else {
					_ = http.NewResponseController(w).Flush()
				}
				_, _ = io.WriteString(w, text)
			})
			c := client(b, server.URL)
			code, _, err := upstream.DecodeGrant([]byte(recorded), sent)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Retrieve(b.Context(), alice, upstream.AuthorizationCodes, code.PK); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodePage decodes a page of 100 rows like that of BenchmarkDecodeCode.
func BenchmarkDecodePage(b *testing.B) {
	row := recordedCode(b, "2026.2.2", "retrieve-own")
	_, rest, _ := bytes.Cut(row, []byte(","))
	rows := make([]string, 100)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"pk":%d,%s`, 100-i, rest)
	}
	body := []byte(hostile(pagination(100, 1, 1, 1, 100), "["+strings.Join(rows, ",")+"]"))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if p, _, err := upstream.DecodePage(body, sent); err != nil || len(p.Rows) != 100 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/row")
}

// BenchmarkRestoreRows restores a list of 100 rows like that of BenchmarkRestoreCode.
func BenchmarkRestoreRows(b *testing.B) {
	c, _, err := upstream.DecodeGrant(recordedCode(b, "2026.2.2", "retrieve-own"), sent)
	if err != nil {
		b.Fatal(err)
	}
	rows := &upstream.Rows{Count: 100}
	for range 100 {
		rows.Rows = append(rows.Rows, c)
	}
	stored := upstream.EncodeRows(rows)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := upstream.RestoreRows(stored); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/row")
}
