package cache

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
)

const testPrefix = "authentik-graphql:"

var errorCodec = ErrorCodec{
	Encode: func(err error) []byte { return []byte(err.Error()) },
	Decode: func(b []byte) (origin, err error) { return errors.New(string(b)), nil },
}

func mustEncode(t testing.TB, e Entry[string]) []byte {
	t.Helper()
	b, err := encodeEntry(errorCodec, e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares entries, and errors by their text.
func same(a, b Entry[string]) bool {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	return a.Value == b.Value && a.FetchedAt.Equal(b.FetchedAt) && a.EndsAt.Equal(b.EndsAt) &&
		a.FreshOnly == b.FreshOnly && a.Denial == b.Denial && a.Outcome == b.Outcome && text(a.Err) == text(b.Err)
}

// fixedSecret is the bytes 0 to 31.
func fixedSecret() []byte {
	secret := make([]byte, SecretSize)
	for i := range secret {
		secret[i] = byte(i)
	}
	return secret
}

func deriveKeys(t testing.TB, secret []byte) *Keys {
	t.Helper()
	k, err := DeriveKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func callerOf(b byte) (c Caller) {
	for i := range c {
		c[i] = b
	}
	return c
}

func makeKey(t testing.TB, caller Caller, resource string, id int32, variant string) Key {
	t.Helper()
	k, err := NewKey(caller, resource, id, variant)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNewKey(t *testing.T) {
	for _, tt := range []struct {
		name     string
		caller   Caller
		resource string
		id       int32
		ok       bool
	}{
		{"whole", callerOf(1), "codes", 1, true},
		{"the largest id", callerOf(1), "codes", 1<<31 - 1, true},
		{"no caller", Caller{}, "codes", 1, false},
		{"no resource", callerOf(1), "", 1, false},
		{"no id", callerOf(1), "codes", 0, false},
		{"a negative id", callerOf(1), "codes", -1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := NewKey(tt.caller, tt.resource, tt.id, "")
			if tt.ok != (err == nil) || tt.ok == (k == Key{}) || !tt.ok && !errors.Is(err, ErrBadKey) {
				t.Errorf("got %v, error %v", k, err)
			}
		})
	}
}

func TestDeriveKeys(t *testing.T) {
	for _, size := range []int{0, 1, SecretSize - 1, SecretSize + 1} {
		if _, err := DeriveKeys(make([]byte, size)); err == nil {
			t.Errorf("accepted a secret of %d bytes", size)
		}
	}
	one, two := NewSecret(), NewSecret()
	a, b := deriveKeys(t, one), deriveKeys(t, two)
	all := map[string]string{}
	for name, key := range map[string][]byte{
		"secret": one, "caller": a.caller, "names": a.names, "seal": a.sealKey,
		"other secret": two, "other caller": b.caller, "other names": b.names, "other seal": b.sealKey,
	} {
		if len(key) != 32 {
			t.Errorf("%s has %d bytes", name, len(key))
		}
		if twin, ok := all[string(key)]; ok {
			t.Errorf("%s and %s are the same", name, twin)
		}
		all[string(key)] = name
	}
	if again := deriveKeys(t, one); !bytes.Equal(again.names, a.names) || !bytes.Equal(again.CallerKey(), a.caller) {
		t.Error("the same secret gives other keys")
	}
}

// TestGolden pins what releases and processes must agree on. A change requires a higher formatVersion.
func TestGolden(t *testing.T) {
	k := deriveKeys(t, fixedSecret())
	key := makeKey(t, callerOf(0xaa), "authorization_codes", 42, "")
	name := k.redisKeys(testPrefix, key).entry
	for _, tt := range []struct{ what, got, want string }{
		{"caller key", hex.EncodeToString(k.CallerKey()), "0846dbf680c8b4b69f60d06dab6df0d01bd944ad492f027fdd8f99027c8a0303"},
		{"name", name, "authentik-graphql:{581eY7AD1t_avYLdrVRXjQ}vhZ_djkONgFM23xKMqpqPWfC90N6EzUgp1GIE8Q7GfT4"},
		{"tombstone", k.redisKeys(testPrefix, key).tombstone, "authentik-graphql:{581eY7AD1t_avYLdrVRXjQ}x"},
		{"message", k.notification(k.ResourceHash(key.id)), "581eY7AD1t_avYLdrVRXjQNGXU7DTZoWesG7O9JTmLgA"},
		{"name with a variant", k.redisKeys(testPrefix, makeKey(t, callerOf(0xaa), "authorization_codes", 42, "token")).entry, "authentik-graphql:{581eY7AD1t_avYLdrVRXjQ}vfDIUsVcfp4P2CNSOu4F_wgiads4fnpdBbGo-Gs81mTc"},
		{"envelope", hex.EncodeToString(mustEncode(t, Entry[string]{
			Value:     "value",
			FetchedAt: time.Date(2026, time.March, 1, 12, 0, 0, 1000, time.UTC),
		})), "000000064bf535af1001ff23400100d4400076616c7565"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, tt.got, tt.want)
		}
	}
	sealed, err := base64.StdEncoding.DecodeString("BD4yMychwfcNMbKdKRiiDuwng5Cvw3lvWyZFWXYezxDfzA==")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := k.open(key.caller, name, string(sealed)); err != nil || string(plain) != "value" {
		t.Errorf("an older seal gives %q, error %v", plain, err)
	}
}

func TestRedisName(t *testing.T) {
	k := deriveKeys(t, fixedSecret())
	shape := regexp.MustCompile(`^authentik-graphql:\{([\w-]{22})\}v([\w-]{43})$`)
	parts := func(key Key) (hash, full string) {
		t.Helper()
		m := shape.FindStringSubmatch(k.redisKeys(testPrefix, key).entry)
		if m == nil {
			t.Fatalf("the name of %v has the wrong form: %s", key, k.redisKeys(testPrefix, key).entry)
		}
		return m[1], m[2]
	}
	long := strings.Repeat("long", 100)
	hash, full := parts(makeKey(t, callerOf(1), "codes", 1, "full"))
	for _, tt := range []struct {
		name     string
		key      Key
		sameHash bool
	}{
		{"another caller", makeKey(t, callerOf(2), "codes", 1, "full"), true},
		{"another variant", makeKey(t, callerOf(1), "codes", 1, "none"), true},
		{"no variant", makeKey(t, callerOf(1), "codes", 1, ""), true},
		{"a long variant", makeKey(t, callerOf(1), "codes", 1, long), true},
		{"another id", makeKey(t, callerOf(1), "codes", 2, "full"), false},
		{"an id with other bytes", makeKey(t, callerOf(1), "codes", 1<<24, "full"), false},
		{"another resource", makeKey(t, callerOf(1), "tokens", 1, "full"), false},
		{"a long resource", makeKey(t, callerOf(1), long, 1, "full"), false},
		{"parts shifted", makeKey(t, callerOf(1), "code", 1, "sfull"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			otherHash, otherFull := parts(tt.key)
			if (otherHash == hash) != tt.sameHash {
				t.Errorf("H: got %s and %s, want the same: %t", otherHash, hash, tt.sameHash)
			}
			if otherFull == full {
				t.Error("D is the same")
			}
		})
	}
	if other := deriveKeys(t, NewSecret()).redisKeys(testPrefix, makeKey(t, callerOf(1), "codes", 1, "full")).entry; strings.Contains(other, hash) || strings.Contains(other, full) {
		t.Error("another secret gives the same name")
	}
}

func TestSeal(t *testing.T) {
	k, caller := deriveKeys(t, fixedSecret()), callerOf(1)
	for _, plain := range []string{"", "value", strings.Repeat("x", 100_000)} {
		one := k.seal(caller, "name", []byte(plain))
		two := k.seal(caller, "name", []byte(plain))
		if one[0] != formatVersion || len(one) != 1+12+len(plain)+16 {
			t.Errorf("%d bytes in format %d", len(one), one[0])
		}
		if bytes.Equal(one, two) {
			t.Error("two seals of the same value are the same")
		}
		if got, err := k.open(caller, "name", string(one)); err != nil || string(got) != plain {
			t.Errorf("got %.20q, error %v, want %.20q", got, err, plain)
		}
	}

	sealed := k.seal(caller, "name", []byte("value"))
	for _, tt := range []struct {
		name   string
		keys   *Keys
		caller Caller
		at     string
	}{
		{"by another caller", k, callerOf(2), "name"},
		{"under another name", k, caller, "eman"},
		{"under no name", k, caller, ""},
		{"with another secret", deriveKeys(t, NewSecret()), caller, "name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if plain, err := tt.keys.open(tt.caller, tt.at, string(sealed)); !errors.Is(err, errUntrusted) || plain != nil {
				t.Errorf("opened to %q, error %v", plain, err)
			}
		})
	}
	for i := range sealed {
		for bit := range 8 {
			spoiled := bytes.Clone(sealed)
			spoiled[i] ^= 1 << bit
			if _, err := k.open(caller, "name", string(spoiled)); !errors.Is(err, errUntrusted) {
				t.Errorf("opened with bit %d of byte %d flipped, error %v", bit, i, err)
			}
		}
		if _, err := k.open(caller, "name", string(sealed[:i])); !errors.Is(err, errUntrusted) {
			t.Errorf("opened when cut to %d bytes, error %v", i, err)
		}
	}
}

func TestEnvelope(t *testing.T) {
	at := time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.FixedZone("", 3600))
	for _, tt := range []struct {
		name string
		e    Entry[string]
	}{
		{"whole", Entry[string]{Value: "value", FetchedAt: at, EndsAt: at.Add(time.Minute)}},
		{"no end", Entry[string]{Value: "value", FetchedAt: at}},
		{"no value", Entry[string]{FetchedAt: at, EndsAt: at}},
		{"nothing", Entry[string]{}},
		{"must not be stale", Entry[string]{Value: "value", FetchedAt: at, FreshOnly: true}},
		{"a value that is a denial", Entry[string]{Value: "value", FetchedAt: at, Denial: true}},
		{"both", Entry[string]{Value: "value", FetchedAt: at, FreshOnly: true, Denial: true}},
		{"a denial", Entry[string]{Err: errors.New("no"), Outcome: Denied, FetchedAt: at}},
		{"a failure", Entry[string]{Err: errors.New("down"), Outcome: Unavailable, FetchedAt: at}},
		{"ended before 1970", Entry[string]{Value: "value", FetchedAt: at, EndsAt: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"ends late", Entry[string]{Value: "value", FetchedAt: at, EndsAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeEntry(errorCodec, mustEncode(t, tt.e))
			if err != nil || !same(got, tt.e) {
				t.Errorf("got %v, error %v, want %v", got, err, tt.e)
			}
		})
	}
	t.Run("times never become later", func(t *testing.T) {
		late := at.Add(999)
		got, err := decodeEntry(errorCodec, mustEncode(t, Entry[string]{FetchedAt: late, EndsAt: late}))
		if err != nil || !got.FetchedAt.Equal(at) || !got.EndsAt.Equal(at) {
			t.Errorf("got %v, error %v", got, err)
		}
	})
	t.Run("too short", func(t *testing.T) {
		for n := range envelopeHeader {
			if e, err := decodeEntry(errorCodec, make([]byte, n)); !errors.Is(err, errUntrusted) || e != (Entry[string]{}) {
				t.Errorf("%d bytes gave %v, error %v", n, e, err)
			}
		}
	})
	whole := mustEncode(t, Entry[string]{Value: "value", FetchedAt: at})
	for name, spoil := range map[string]func(b []byte){
		"an outcome of another release": func(b []byte) { b[0] = byte(Refused) + 1 },
		"a flag of another release":     func(b []byte) { b[1] |= 4 },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			spoil(b)
			if e, err := decodeEntry(errorCodec, b); !errors.Is(err, errUntrusted) || e != (Entry[string]{}) {
				t.Errorf("got %v, error %v", e, err)
			}
		})
	}
	t.Run("an error that is refused", func(t *testing.T) {
		failure := errors.New("bad")
		refusing := ErrorCodec{
			Decode: func([]byte) (error, error) { return errors.New("half"), failure }, //nolint:staticcheck // as the field's type is
		}
		b := make([]byte, 20)
		b[0] = byte(Denied)
		e, err := decodeEntry(refusing, b)
		if !errors.Is(err, errUntrusted) || !errors.Is(err, failure) || e != (Entry[string]{}) {
			t.Errorf("got %v, error %v", e, err)
		}
	})
}

func TestNothingPrintsSecrets(t *testing.T) {
	secret := []byte("a secret of thirty-two bytes !!!")
	keys := deriveKeys(t, secret)
	var caller Caller
	copy(caller[:], "the digest of the caller's token")
	key := makeKey(t, caller, "codes", 42, "variant")

	var printed strings.Builder
	for _, v := range []any{keys, *keys, key, &key, struct{ Keys *Keys }{keys}, struct{ Keys Keys }{*keys}, struct{ Key Key }{key}, []Key{key}, []*Keys{keys}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&printed, verb+"\n", v)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(j)
		slog.New(slog.NewTextHandler(&printed, nil)).Info("", "value", v)
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("", "value", v)
	}
	text := printed.String()
	for _, b := range [][]byte{secret, keys.caller, keys.names, keys.sealKey, caller[:]} {
		list := strings.Trim(fmt.Sprint(b[:8]), "[]")
		for _, form := range []string{string(b[:8]), hex.EncodeToString(b[:8]), strings.ToUpper(hex.EncodeToString(b[:8])), base64.StdEncoding.EncodeToString(b[:6]), list, strings.ReplaceAll(list, " ", ",")} {
			if strings.Contains(text, form) {
				t.Errorf("%q shows in:\n%s", form, text)
			}
		}
	}
	if got := fmt.Sprintf("%v %#v %v", key, key, keys); got != "codes/42 codes/42 [redacted]" {
		t.Errorf("got %s", got)
	}
}

func FuzzOpen(f *testing.F) {
	k, caller := deriveKeys(f, fixedSecret()), callerOf(1)
	sealed := k.seal(caller, "name", []byte("value"))
	f.Add("name", sealed)
	f.Add("name", sealed[:20])
	f.Add("other", sealed)
	f.Add("", []byte{})
	f.Add("name", []byte{formatVersion})
	f.Add("name", make([]byte, 100))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		plain, err := k.open(caller, name, string(b))
		// Nonces are random, so what another process of the fuzzer sealed opens here as well.
		if err == nil && (name != "name" || string(plain) != "value") {
			t.Errorf("opened %x under %q to %q", b, name, plain)
		}
		if err != nil && name == "name" && bytes.Equal(b, sealed) {
			t.Errorf("a sealed value does not open: %v", err)
		}
		if err != nil && !errors.Is(err, errUntrusted) {
			t.Errorf("error %v", err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(mustEncode(f, Entry[string]{Value: "value", FetchedAt: time.Unix(1, 0)}))
	f.Add([]byte{})
	f.Add(make([]byte, envelopeHeader-1))
	f.Add(bytes.Repeat([]byte{0xff}, envelopeHeader))
	f.Add(bytes.Repeat([]byte{0x80}, envelopeHeader+1))
	f.Add(mustEncode(f, Entry[string]{Err: errors.New("no"), Outcome: Denied, FetchedAt: time.Unix(1, 0)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(errorCodec, b)
		if err != nil {
			if !errors.Is(err, errUntrusted) || e != (Entry[string]{}) {
				t.Fatalf("%d bytes: %v, error %v", len(b), e, err)
			}
			return
		}
		again, err := decodeEntry(errorCodec, mustEncode(t, e))
		if err != nil || !same(again, e) {
			t.Errorf("got %v, error %v, want %v", again, err, e)
		}
		p := Policy{TTL: time.Second, StaleIfError: time.Second, NegativeTTL: time.Second}
		if until := keptUntil(p, e); until.Before(freshUntil(p, e)) || until.Sub(e.FetchedAt) > p.longest() {
			t.Errorf("%v is kept until %s", e, until)
		}
	})
}

// FuzzReadNotification: only a process with the secret can make a notification.
func FuzzReadNotification(f *testing.F) {
	k := deriveKeys(f, fixedSecret())
	id := ResourceID{resource: "codes", id: 1}
	whole := k.notification(k.ResourceHash(id))
	f.Add(whole)
	f.Add(whole[:22])
	f.Add(whole[:len(whole)-1])
	f.Add(whole + "A")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		hash, ok := k.readNotification(s)
		if ok != (s == whole) || ok && hash != k.ResourceHash(id) {
			t.Errorf("%q gives %x, %t", s, hash, ok)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, plain := deriveKeys(b, fixedSecret()), make([]byte, 1000)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		_ = k.seal(callerOf(1), "name", plain)
	}
}

func BenchmarkOpen(b *testing.B) {
	k, caller := deriveKeys(b, fixedSecret()), callerOf(1)
	sealed := k.seal(caller, "name", make([]byte, 1000))
	text := string(sealed)
	b.SetBytes(1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.open(caller, "name", text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRedisName(b *testing.B) {
	k, key := deriveKeys(b, fixedSecret()), makeKey(b, callerOf(1), "authorization_codes", 42, "token")
	b.ReportAllocs()
	for b.Loop() {
		_ = k.redisKeys(testPrefix, key).entry
	}
}

func BenchmarkNewKey(b *testing.B) {
	caller := callerOf(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewKey(caller, "authorization_codes", 42, "token"); err != nil {
			b.Fatal(err)
		}
	}
}
