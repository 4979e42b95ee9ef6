package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"authentik-graphql/internal/servicetest"
)

// command is a block of shell lines of a page.
type command struct{ page, text string }

// commands are the blocks of all pages for users.
func commands(t *testing.T) (all []command) {
	t.Helper()
	for page, text := range pages(t) {
		if page != "README.md" && page != "deploy/README.md" && !strings.HasPrefix(page, "docs/") {
			continue
		}
		for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
			all = append(all, command{page, block[1]})
		}
	}
	return all
}

// elsewhere are the commands that other tests run, by a text in them, and where those tests are.
var elsewhere = map[command]string{
	{"README.md", "go test ./..."}: ".ci/run",

	{"docs/clients.md", "npm init -y"}:                "test/interop/clients/docs.test.mjs",
	{"docs/clients.md", "npm install"}:                "test/interop/clients/docs.test.mjs",
	{"docs/clients.md", "npx relay-compiler"}:         "test/interop/clients/docs.test.mjs",
	{"docs/clients.md", "npx graphql-codegen"}:        "test/interop/clients/docs.test.mjs",
	{"docs/gateways.md", "inventory && npm ci"}:       "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "apollo-gateway && npm ci"}:  "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "seenCodes"}:                 "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "npx hive-gateway"}:          "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "wgc router compose"}:        "test/interop/federation/federation_test.go",
	{"docs/security.md", "sha256sum"}:                 "readme_test.go",
	{"docs/settings.md", "REDIS_MODE=cluster"}:        "readme_test.go",
	{"docs/operations.md", "promtool test rules"}:     "deploy/alerts_test.go",
	{"deploy/README.md", "make dist"}:                 ".ci/run",
	{"deploy/README.md", "secrets/postgres-password"}: "deploy/compose_test.go",
	{"deploy/README.md", "/usr/local/bin/"}:           "deploy/systemd_test.go",
	{"deploy/README.md", "systemctl enable"}:          "deploy/systemd_test.go",
	{"deploy/README.md", "kubectl apply"}:             "deploy/kubernetes_test.go",
	{"deploy/README.md", "docker build"}:              "deploy/image_test.go",
}

// unrun are what tests check as far as they can, and do not run. CONTRIBUTING.md lists them.
var unrun = []string{"docker", "kubectl", "systemctl", "./router"}

// TestDocsCommands runs every command of the pages for users that needs no more than this machine, by
// the scripts in testdata/docs; every other one is known to be elsewhere.
func TestDocsCommands(t *testing.T) {
	all := commands(t)
	ran := &runs{blocks: all, done: map[command]bool{}}
	binary := servicetest.Build(t)
	for _, name := range []string{"redis-server", "nginx", "prometheus", "curl"} {
		servicetest.Program(t, name)
	}
	root := servicetest.Root(t)
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: filepath.Join("testdata", "docs"),
			Setup: func(e *testscript.Env) error {
				e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
				e.Setenv("ROOT", root)
				for _, name := range []string{"HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB"} {
					e.Setenv(name, os.Getenv(name))
				}
				p := &ports{byPage: map[string]string{}}
				e.Values[portsKey{}] = p
				e.Setenv("LISTEN_ADDR", p.addr("8080"))
				e.Setenv("ADMIN_ADDR", p.addr("9464"))
				return nil
			},
			Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
				"page": ran.page, "serve": ran.serve, "block": ran.block,
			},
		})
	})
	contributing := must(t, "CONTRIBUTING.md")
	for _, program := range unrun {
		if !strings.Contains(contributing, "`"+program+"`") {
			t.Errorf("CONTRIBUTING.md does not say that %s is not run", program)
		}
	}
	for _, c := range all {
		if ran.done[c] {
			continue
		}
		where := ""
		for known, test := range elsewhere {
			if known.page == c.page && strings.Contains(c.text, known.text) {
				where = test
			}
		}
		if where == "" {
			t.Errorf("%s: no test runs\n%s", c.page, c.text)
		} else {
			must(t, where) // is there
		}
	}
}

// runs are the commands that scripts have run.
type runs struct {
	blocks []command
	mu     sync.Mutex
	done   map[command]bool
}

// page runs blocks of a page, in their order and in one shell: those that have the text, or all. What it
// prints is in the file out.
func (r *runs) page(ts *testscript.TestScript, neg bool, args []string) {
	cmd := r.shell(ts, args[0], args[1:]...)
	err := cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // what it left in the background
	if (err != nil) != neg {
		ts.Fatalf("%s: %v\n%s", args[0], err, ts.ReadFile("out"))
	}
}

// serve runs a block of a page until the script ends, and waits until an address takes connections.
func (r *runs) serve(ts *testscript.TestScript, _ bool, args []string) {
	cmd := r.shell(ts, args[0], args[1])
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	ts.Defer(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-ended
	})
	addr := portsOf(ts).replace(ts, args[2])
	for began := time.Now(); time.Since(began) < longest; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return
		}
	}
	ts.Fatalf("nothing listens on %s\n%s", addr, ts.ReadFile("out"))
}

// longest is how long blocks may take: the demo is compiled.
const longest = 2 * time.Minute

// shell makes the command that runs blocks of a page. Addresses on the loopback get ports that are free,
// and what the reader has to put in is put in.
func (r *runs) shell(ts *testscript.TestScript, page string, texts ...string) *exec.Cmd {
	script := "set -eu\n"
	for _, c := range r.blocks {
		if c.page == page && (len(texts) == 0 || strings.Contains(c.text, texts[0])) {
			script += c.text
			r.mu.Lock()
			r.done[c] = true
			r.mu.Unlock()
		}
	}
	program := "authentik-graphql"
	if page == "README.md" { // once as it stands there
		program = `go run -C "$ROOT" .`
	}
	script = strings.NewReplacer(
		"go run .", program,
		"go build .", `cp "$(command -v authentik-graphql)" .`,
		"https://auth.example.com", "http://127.0.0.1:9000",
		"seconds=30", "seconds=1",
	).Replace(script)
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	ts.Defer(cancel)
	cmd := exec.CommandContext(ctx, "sh", "-c", portsOf(ts).replace(ts, script)) //nolint:gosec // our own pages
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environ(ts)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := os.Create(ts.MkAbs("out"))
	ts.Check(err)
	ts.Defer(func() { _ = out.Close() })
	cmd.Stdout, cmd.Stderr = out, out // a file: nobody waits for who is left in the background
	return cmd
}

// block writes the block of a page that begins with a text into a file.
func (*runs) block(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(filepath.Join(ts.Getenv("ROOT"), args[0]))
	found := regexp.MustCompile("(?ms)^```[a-z]+\n(" + regexp.QuoteMeta(args[1]) + ".*?)^```$").FindStringSubmatch(text)
	if found == nil {
		ts.Fatalf("%s has no block that begins with %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(portsOf(ts).replace(ts, found[1])), 0o600))
}

// environ is the script's.
func environ(ts *testscript.TestScript) (all []string) {
	for _, name := range []string{"PATH", "HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "WORK", "ROOT",
		"LISTEN_ADDR", "ADMIN_ADDR", "ADMIN_PPROF", "AUTHENTIK_URL", "TOKEN"} {
		if value := ts.Getenv(name); value != "" {
			all = append(all, name+"="+value)
		}
	}
	return all
}

// ports are free ones in place of those of the pages.
type ports struct{ byPage map[string]string }

type portsKey struct{}

func portsOf(ts *testscript.TestScript) *ports { return ts.Value(portsKey{}).(*ports) }

// freeAddr is one on the loopback that nobody has, with a port that the system gives to nobody by itself:
// programs that ask it for any port run meanwhile.
func freeAddr() string {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr
		}
	}
}

// addr is the address in place of one on the loopback with the port of a page.
func (p *ports) addr(port string) string {
	if p.byPage[port] == "" {
		p.byPage[port] = freeAddr()
	}
	return p.byPage[port]
}

func (p *ports) replace(ts *testscript.TestScript, text string) string {
	return regexp.MustCompile(`(127\.0\.0\.1:|--port |-p )(\d{4})\b`).ReplaceAllStringFunc(text, func(match string) string {
		before, port := match[:len(match)-4], match[len(match)-4:]
		_, free, err := net.SplitHostPort(p.addr(port))
		ts.Check(err)
		return before + free
	})
}
