package callers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// callerOf returns a line of CALLERS_FILE.
func callerOf(name, token string, rights ...string) string {
	return strings.Join(append([]string{name, hashOf(token)}, rights...), " ") + "\n"
}

func TestParseList(t *testing.T) {
	long := strings.Repeat("n", 64)
	tests := []struct {
		name, content string
		want          []string // name, token, rights
	}{
		{"one", callerOf("grafana", "t1"), []string{"grafana t1"}},
		{"no newline at the end", strings.TrimSpace(callerOf("grafana", "t1")), []string{"grafana t1"}},
		{"may write", callerOf("ops", "t1", "write"), []string{"ops t1 write"}},
		{"comments and blanks", "# a comment\n\n  \t\n  # another\n" + callerOf("a", "t1") + "#\n" + callerOf("b", "t2"), []string{"a t1", "b t2"}},
		{"carriage returns", "# x\r\n" + strings.ReplaceAll(callerOf("a", "t1", "write"), "\n", "\r\n"), []string{"a t1 write"}},
		{"tabs and indentation", "\ta\t " + hashOf("t1") + " \twrite\t\n", []string{"a t1 write"}},
		{"upper case", "a " + strings.ToUpper(hashOf("t1")), []string{"a t1"}},
		{"two tokens of one caller", callerOf("a", "t1") + callerOf("a", "t2", "write"), []string{"a t1", "a t2 write"}},
		{"every kind of letter", callerOf("aZ.0_9-", "t1") + callerOf(long, "t2"), []string{"aZ.0_9- t1", long + " t2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := parseList([]byte(tt.content))
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != len(tt.want) {
				t.Errorf("%d lines, want %d", len(list), len(tt.want))
			}
			for _, want := range tt.want {
				token := strings.Fields(want)[1]
				line, ok := list.find(upstream.NewCredential(token).SHA256())
				got := line.name + " " + token
				if line.write {
					got += " write"
				}
				if !ok || got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			for _, unknown := range []string{"", "t", "t3", tt.want[0]} {
				if line, ok := list.find(upstream.NewCredential(unknown).SHA256()); ok {
					t.Errorf("the token %q is taken for %s's", unknown, line.name)
				}
			}
		})
	}
}

// badCallers are contents with a mistake, and their errors.
var badCallers = []struct{ name, content, want string }{
	{"empty", "", "names no caller"},
	{"comments alone", "# nobody\n\n", "names no caller"},
	{"no hash", "ok-1 " + hashOf("t1") + "\ns3cr3t\n", "line 2 has no SHA-256 hash of 64 hexadecimal digits after the name"},
	{"a bare hash", hashOf("t1") + "\n", "line 1 has no SHA-256 hash"},
	{"a token for a hash", "\n# x\na s3cr3t-token\n", "line 3 has no SHA-256 hash"},
	{"a digit too few", "a " + hashOf("t1")[1:], "line 1 has no SHA-256 hash"},
	{"a digit too many", "a " + hashOf("t1") + "0", "line 1 has no SHA-256 hash"},
	{"not hexadecimal", "a " + hashOf("t1")[1:] + "g", "line 1 has no SHA-256 hash"},
	{"hash first", hashOf("t1") + " grafana-s3cr3t", "line 1 has no SHA-256 hash"},
	{"long name", callerOf(strings.Repeat("n", 65), "t1"), "line 1 does not begin with a name of 1 to 64 letters, digits, dots, hyphens and underscores"},
	{"colon in the name", callerOf("a:s3cr3t", "t1"), "line 1 does not begin with a name"},
	{"letter outside ASCII", callerOf("ä", "t1"), "line 1 does not begin with a name"},
	{"byte order mark", "\ufeff" + callerOf("a", "t1"), "line 1 does not begin with a name"},
	{"another right", callerOf("a", "t1", "s3cr3t"), `line 1 has something other than "write" after the hash`},
	{"sha256sum's hyphen", callerOf("a", "t1", "-"), `line 1 has something other than "write"`},
	{"more after write", callerOf("a", "t1", "write", "s3cr3t"), `line 1 has something other than "write"`},
	{"a comment behind", callerOf("a", "t1", "# s3cr3t"), `line 1 has something other than "write"`},
	{"the hash twice", callerOf("a", "t1") + "\n" + callerOf("b", "t2") + callerOf("c", "t1"), "line 4 has the hash of line 1"},
	{"the hash twice in another case", callerOf("a", "t1") + "a " + strings.ToUpper(hashOf("t1")), "line 2 has the hash of line 1"},
	{"empty token", callerOf("a", ""), "line 1 has the hash of an empty token"},
	{"two mistakes", "s3cr3t\n" + callerOf("a", "t1") + "b s3cr3t\n", "line 1 has no SHA-256 hash of 64 hexadecimal digits after the name\nline 3 has no"},
	{"too many", manyCallers(10001), "line 10001 is one too many: at most 10000 tokens are accepted"},
}

// manyCallers has the tokens 0 to n-1.
func manyCallers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(callerOf("a", fmt.Sprint(i)))
	}
	return b.String()
}

func TestMistakesInList(t *testing.T) {
	for _, tt := range badCallers {
		t.Run(tt.name, func(t *testing.T) {
			list, err := parseList([]byte(tt.content))
			if err == nil || list != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %d callers and %v", len(list), err)
			}
			if strings.Contains(err.Error(), "s3cr3t") || regexp.MustCompile(`(?i)[0-9a-f]{16}`).MatchString(err.Error()) {
				t.Errorf("the error repeats the file: %v", err)
			}
		})
	}
	if list, err := parseList([]byte(manyCallers(10000))); err != nil || len(list) != 10000 || list.names() != 1 {
		t.Errorf("10,000 callers: %d and %v", len(list), err)
	}
	_, err := parseList([]byte(strings.Repeat("x\n", 1000)))
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 10 {
		t.Errorf("%d mistakes are reported, want the first 10", lines)
	}
}

// FuzzParseList checks that a file is accepted whole or not at all, and that an error repeats nothing of it.
func FuzzParseList(f *testing.F) {
	f.Add([]byte("# x\n" + callerOf("grafana", "t1") + callerOf("ops", "t2", "write")))
	for _, tt := range badCallers[:len(badCallers)-1] {
		f.Add([]byte(tt.content))
	}
	said := regexp.MustCompile(`^names no caller$|^(line [0-9]+ (` +
		`does not begin with a name of 1 to 64 letters, digits, dots, hyphens and underscores|` +
		`has no SHA-256 hash of 64 hexadecimal digits after the name|` +
		`has something other than "write" after the hash|` +
		`has the hash of (line [0-9]+|an empty token)|` +
		`is one too many: at most 10000 tokens are accepted)(\n|$)){1,10}$`)
	name := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := parseList(content)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d callers and %v", len(list), err)
		}
		if err != nil && !said.MatchString(err.Error()) {
			t.Errorf("the error says %q", err)
		}
		seen := map[[sha256.Size]byte]bool{}
		for _, line := range list {
			if found, ok := list.find(line.hash); !ok || found != line || seen[line.hash] || !name.MatchString(line.name) {
				t.Errorf("%v is not found by its hash alone", line)
			}
			seen[line.hash] = true
		}
	})
}

func TestParseToken(t *testing.T) {
	for content, want := range map[string]string{"t0k3n": "t0k3n", "t0k3n\n": "t0k3n", "t0k3n\r\n": "t0k3n",
		"": "", "\n": "", "t0k3n\nt0k3n": "", " t0k3n": "", "t0k3n ": "", "tök3n": "", strings.Repeat("x", 8193): ""} {
		got, err := parseToken([]byte(content))
		if (err == nil) != (want != "") || got.SHA256() != upstream.NewCredential(want).SHA256() {
			t.Errorf("%q: error %v", content, err)
		}
		if err != nil && strings.Contains(err.Error(), "k3n") {
			t.Errorf("the error repeats the file: %v", err)
		}
	}
}

// BenchmarkFindCaller measures a lookup in the longest list.
func BenchmarkFindCaller(b *testing.B) {
	list, err := parseList([]byte(manyCallers(10000)))
	if err != nil {
		b.Fatal(err)
	}
	cred := upstream.NewCredential("9999")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := list.find(cred.SHA256()); !ok {
			b.Fatal("not found")
		}
	}
}
