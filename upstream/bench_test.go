package upstream_test

import (
	"testing"

	"authentik-graphql/upstream"
)

func BenchmarkDecodeCode(b *testing.B) {
	body := recordedCode(b, "2026.2.2", "retrieve-own")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := upstream.DecodeCode(body, sent); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeCode(b *testing.B) {
	c, _, err := upstream.DecodeCode(recordedCode(b, "2026.2.2", "retrieve-own"), sent)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		upstream.EncodeCode(c)
	}
}

func BenchmarkRestoreCode(b *testing.B) {
	c, _, err := upstream.DecodeCode(recordedCode(b, "2026.2.2", "retrieve-own"), sent)
	if err != nil {
		b.Fatal(err)
	}
	stored := upstream.EncodeCode(c)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := upstream.RestoreCode(stored); err != nil {
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
		cred.Digest(digestKey)
	}
}
