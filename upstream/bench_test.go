package upstream_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
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
	var stored []byte
	b.ReportAllocs()
	for b.Loop() {
		stored = upstream.AppendGrant(stored[:0], c)
	}
}

func BenchmarkRestoreCode(b *testing.B) {
	c, _, err := upstream.DecodeGrant(recordedCode(b, "2026.2.2", "retrieve-own"), sent)
	if err != nil {
		b.Fatal(err)
	}
	stored := string(upstream.EncodeGrant(c))
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

// lean answers each GET on a connection with the same bytes, at next to no cost.
func lean(b *testing.B, answer string) (address string) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	text := []byte(answer)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				request := make([]byte, 4<<10)
				for n := 0; ; {
					read, err := conn.Read(request[n:])
					if n += read; bytes.HasSuffix(request[:n], []byte("\r\n\r\n")) {
						n = 0
						_, err = conn.Write(text)
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// answerHead is what authentik sends before a body, without the body's length.
const answerHead = "HTTP/1.1 200 OK\r\nAllow: GET, PUT, PATCH, DELETE, HEAD, OPTIONS\r\nContent-Type: application/json\r\n" +
	"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nReferrer-Policy: same-origin\r\nVary: Accept-Encoding\r\nVary: Cookie\r\n" +
	"X-Authentik-Id: 0123456789abcdef0123456789abcdef\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nX-Powered-By: authentik\r\n"

// parallel measures an operation that several callers per processor do at once.
func parallel(b *testing.B, op func()) {
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			op()
		}
	})
}

// BenchmarkRetrieve measures a whole call over the loopback, including the lean server.
func BenchmarkRetrieve(b *testing.B) {
	recorded := string(recordedCode(b, "2026.2.2", "retrieve-own"))
	code, _, err := upstream.DecodeGrant([]byte(recorded), sent)
	if err != nil {
		b.Fatal(err)
	}
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
			answer := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", answerHead, len(text), text)
			if bm.chunked {
				answer = fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", answerHead, len(text), text)
			}
			c := client(b, lean(b, answer))
			parallel(b, func() {
				if _, err := c.Retrieve(b.Context(), alice, upstream.AuthorizationCodes, code.PK); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkBareCall measures the share of net/http and the server in BenchmarkRetrieve.
func BenchmarkBareCall(b *testing.B) {
	text := recordedCode(b, "2026.2.2", "retrieve-own")
	address := lean(b, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", answerHead, len(text), text))
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	b.Cleanup(transport.CloseIdleConnections)
	parallel(b, func() {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, nil)
		if err != nil {
			b.Error(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			b.Error(err)
		}
		if _, err := io.ReadFull(response.Body, make([]byte, len(text))); err != nil {
			b.Error(err)
		}
		_ = response.Body.Close()
	})
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
	stored := string(upstream.EncodeRows(rows))
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := upstream.RestoreRows(stored); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/row")
}
