package docs

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

// commands returns the blocks of all pages for users.
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

// elsewhere are the tests of other commands, by page and a text of the command.
var elsewhere = map[command]string{
	{"README.md", "go test ./..."}: ".ci/run",

	{"docs/clients.md", "npm init -y"}:                "test/interop/clients/docs.test.mjs",
	{"docs/clients.md", "npm install"}:                "test/interop/clients/docs.test.mjs",
	{"docs/clients.md", "npx relay-compiler"}:         "test/interop/clients/docs.test.mjs",
	{"docs/clients.md", "npx graphql-codegen"}:        "test/interop/clients/docs.test.mjs",
	{"docs/clients.md", "prism-cli"}:                  "test/interop/clients/mock.test.mjs",
	{"docs/clients.md", "node mock.js"}:               "test/interop/clients/mock.test.mjs",
	{"docs/gateways.md", "inventory && npm ci"}:       "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "apollo-gateway && npm ci"}:  "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "seenCodes"}:                 "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "npx hive-gateway"}:          "test/interop/federation/federation_test.go",
	{"docs/gateways.md", "wgc router compose"}:        "test/interop/federation/federation_test.go",
	{"docs/security.md", "sha256sum"}:                 "docs/pages_test.go",
	{"docs/settings.md", "REDIS_MODE=cluster"}:        "docs/settings_test.go",
	{"docs/settings.md", "openssl s_client"}:          "docs/settings_test.go",
	{"docs/operations.md", "promtool test rules"}:     "deploy/alerts_test.go",
	{"deploy/README.md", "make dist"}:                 ".ci/run",
	{"deploy/README.md", "secrets/postgres-password"}: "deploy/compose_test.go",
	{"deploy/README.md", "/usr/local/bin/"}:           "deploy/systemd_test.go",
	{"deploy/README.md", "systemctl enable"}:          "deploy/systemd_test.go",
	{"deploy/README.md", "kubectl apply"}:             "deploy/kubernetes_test.go",
	{"deploy/README.md", "docker build"}:              "deploy/image_test.go",
}

// unrun are programs that no test runs. CONTRIBUTING.md lists them.
var unrun = []string{"docker", "kubectl", "systemctl", "./router", "prism"}

// TestCommands runs the commands of the pages for users by the scripts in testdata. Each of the others has a
// test elsewhere.
func TestCommands(t *testing.T) {
	all := commands(t)
	ran := &runs{blocks: all, done: map[command]bool{}}
	binary := servicetest.Build(t)
	for _, name := range []string{"redis-server", "nginx", "prometheus", "curl"} {
		servicetest.Program(t, name)
	}
	root := servicetest.Root(t)
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "testdata",
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
	contributing := servicetest.File(t, "CONTRIBUTING.md")
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
			servicetest.File(t, where)
		}
	}
}

// runs are the commands that scripts have run.
type runs struct {
	blocks []command
	mu     sync.Mutex
	done   map[command]bool
}

// page runs blocks of a page in one shell: those with a text, or all. The file out has its output.
func (r *runs) page(ts *testscript.TestScript, neg bool, args []string) {
	cmd := r.shell(ts, "out", args[0], args[1:]...)
	err := cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // processes that it left in the background
	if (err != nil) != neg {
		ts.Fatalf("%s: %v\n%s", args[0], err, ts.ReadFile("out"))
	}
}

// serve runs a block of a page until the script ends, and waits until an address accepts connections. The file
// log has its output.
func (r *runs) serve(ts *testscript.TestScript, _ bool, args []string) {
	cmd := r.shell(ts, "log", args[0], args[1])
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
	ts.Fatalf("nothing listens on %s\n%s", addr, ts.ReadFile("log"))
}

// longest bounds a block. The README's compiles the demo.
const longest = 2 * time.Minute

// shell makes the command that runs blocks of a page, with free ports in place of the page's and with what a
// reader has to fill in.
func (r *runs) shell(ts *testscript.TestScript, output, page string, texts ...string) *exec.Cmd {
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
	if page == "README.md" { // as the page has it
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
	out, err := os.OpenFile(ts.MkAbs(output), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	ts.Defer(func() { _ = out.Close() })
	cmd.Stdout, cmd.Stderr = out, out // a file, so that Wait does not wait for background processes
	return cmd
}

// block writes the block of a page that begins with a text to a file.
func (*runs) block(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(filepath.Join(ts.Getenv("ROOT"), args[0]))
	found := regexp.MustCompile("(?ms)^```[a-z]+\n(" + regexp.QuoteMeta(args[1]) + ".*?)^```$").FindStringSubmatch(text)
	if found == nil {
		ts.Fatalf("%s has no block that begins with %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(portsOf(ts).replace(ts, found[1])), 0o600))
}

// environ returns the script's environment.
func environ(ts *testscript.TestScript) (all []string) {
	for _, name := range []string{"PATH", "HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "WORK", "ROOT",
		"LISTEN_ADDR", "ADMIN_ADDR", "ADMIN_PPROF", "AUTHENTIK_URL", "TOKEN"} {
		if value := ts.Getenv(name); value != "" {
			all = append(all, name+"="+value)
		}
	}
	return all
}

// ports maps the ports of the pages to free addresses.
type ports struct{ byPage map[string]string }

type portsKey struct{}

func portsOf(ts *testscript.TestScript) *ports { return ts.Value(portsKey{}).(*ports) }

// freeAddr returns a free address on the loopback. Its port is outside the range from which the system gives
// ports to programs that ask for any.
func freeAddr() string {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr
		}
	}
}

// addr returns the address that replaces a page's port.
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
