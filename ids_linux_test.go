package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"authentik-graphql/internal/servicetest"
)

var (
	idCount  = flag.Int("ids", 20_000, "how many ids TestManyIDs asks for; 1000000 takes minutes")
	idMemory = flag.String("ids-memory", "8MiB", "CACHE_MEMORY of TestManyIDs")
)

// rssBeside is how much more than CACHE_MEMORY may be resident: what the soft limit allows, and as many
// pages of the program itself, which Go does not count, as there is room for.
const rssBeside = 64 << 20

// TestManyIDs asks the program, built and on its own, for many more codes than its memory holds,
// each once. It must evict, and never outgrow CACHE_MEMORY by more than rssBeside.
func TestManyIDs(t *testing.T) {
	servicetest.Long(t)
	memory, err := humanize.ParseBytes(*idMemory)
	if err != nil {
		t.Fatal(err)
	}
	authentik, calls := startCanned(t)
	p := startBinary(t, "AUTHENTIK_URL="+authentik, "CACHE_MEMORY="+*idMemory, "CACHE_TTL=1h")
	stopWatching := p.watch(t)
	start := time.Now()
	requests := askEntities(t, p.url, *idCount)
	took := time.Since(start)
	rss := stopWatching()
	peak, cpu := p.status(t, "VmHWM"), p.cpuSeconds(t)
	t.Logf("%d ids in %d requests and %.1f s, %.1f s of CPU; resident: %s at the peak, %s at the end, seen %v; bound %s + %s",
		*idCount, requests, took.Seconds(), cpu, humanize.IBytes(peak), humanize.IBytes(rss[len(rss)-1]), mebibytes(rss),
		humanize.IBytes(memory), humanize.IBytes(rssBeside))
	if got := calls.Load(); got != int64(*idCount) {
		t.Errorf("authentik was asked %d times", got)
	}
	if peak >= memory+rssBeside {
		t.Errorf("%s were resident at the peak, %s at most are allowed", humanize.IBytes(peak), humanize.IBytes(memory+rssBeside))
	}
}

// startCanned serves one recorded code under every id, as cheaply as can be.
func startCanned(t *testing.T) (url string, calls *atomic.Int64) {
	t.Helper()
	var code map[string]json.RawMessage
	if err := json.Unmarshal(recordedCode(t, "2026.2.2"), &code); err != nil {
		t.Fatal(err)
	}
	delete(code, "pk")
	code["expires"] = json.RawMessage(`"2099-12-31T23:59:59Z"`)
	rest, err := json.Marshal(code)
	if err != nil {
		t.Fatal(err)
	}
	calls = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		id := filepath.Base(r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(`{"pk":,`)+len(id)+len(rest)-1))
		_, _ = fmt.Fprintf(w, `{"pk":%s,%s`, id, rest[1:])
	}))
	t.Cleanup(srv.Close)
	return srv.URL, calls
}

// askEntities asks for the ids from 1 to n over several connections, a hundred at a time as a
// gateway does, and returns how many requests that took.
func askEntities(t *testing.T, url string, n int) (requests int) {
	t.Helper()
	const batch, connections = 100, 8
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	firsts := make(chan int)
	var asking sync.WaitGroup
	for range connections {
		asking.Go(func() {
			for first := range firsts {
				last := min(first+batch-1, n)
				if err := askRange(t, client, url, first, last); err != nil {
					t.Errorf("ids %d to %d: %v", first, last, err)
				}
			}
		})
	}
	for first := 1; first <= n && !t.Failed(); first += batch {
		firsts <- first
		requests++
	}
	close(firsts)
	asking.Wait()
	return requests
}

func askRange(t *testing.T, client *http.Client, url string, first, last int) error {
	var body bytes.Buffer
	body.WriteString(`{"query":"query($r: [_Any!]!) { _entities(representations: $r) { ... on AuthorizationCode { id scope user { username groups { name } } } } }","variables":{"r":[`)
	for id := first; id <= last; id++ {
		if id > first {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"__typename":"AuthorizationCode","id":"%d"}`, id)
	}
	body.WriteString(`]}}`)
	req := newRequest(t, http.MethodPost, url+"/graphql", &body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer some-token")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if got := bytes.Count(answer, []byte(`"username"`)); got != last-first+1 || bytes.Contains(answer, []byte(`"errors"`)) {
		return fmt.Errorf("status %d with %d codes: %.300s", resp.StatusCode, got, answer)
	}
	return nil
}

// process is the program as it is built, running on its own.
type process struct {
	pid int
	url string
}

// startBinary builds and starts the program with nothing but the given settings, and stops it when
// the test ends.
func startBinary(t *testing.T, settings ...string) process {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "authentik-graphql")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	log := newBuffer()
	cmd := exec.Command(binary) //nolint:noctx // the test's end stops it gently
	cmd.Env = append([]string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=off"}, settings...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program ended with: %v", err)
		}
	})
	select {
	case <-log.Contains(`"msg":"listening"`):
	case <-time.After(20 * time.Second):
		t.Fatalf("the program does not listen:\n%s", log)
	}
	return process{pid: cmd.Process.Pid, url: "http://" + log.Lines()[0]["address"].(string)}
}

// watch samples what is resident until the returned function is called, which returns some twenty
// samples spread over the time.
func (p process) watch(t *testing.T) (stop func() []uint64) {
	var samples []uint64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			samples = append(samples, p.status(t, "VmRSS"))
			select {
			case <-end:
				samples = append(samples, p.status(t, "VmRSS"))
				return
			case <-tick.C:
			}
		}
	}()
	return func() (some []uint64) {
		close(end)
		<-ended
		for i := range 20 {
			some = append(some, samples[i*(len(samples)-1)/19])
		}
		return some
	}
}

// status reads a size out of the kernel's account of the process, in bytes.
func (p process) status(t *testing.T, field string) uint64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	found := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+) kB$`).FindStringSubmatch(string(status))
	if found == nil {
		t.Errorf("no %s, error %v, in\n%s", field, err, status)
		return 0
	}
	kB, _ := strconv.ParseUint(found[1], 10, 64)
	return kB << 10
}

// cpuSeconds is the time the process has spent in user and kernel mode.
func (p process) cpuSeconds(t *testing.T) float64 {
	stat := must(t, fmt.Sprintf("/proc/%d/stat", p.pid))
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:]) // after the name, from the third on
	user, _ := strconv.ParseFloat(fields[14-3], 64)
	system, _ := strconv.ParseFloat(fields[15-3], 64)
	return (user + system) / 100 // the kernel shows hundredths on every architecture Go knows
}

func mebibytes(sizes []uint64) []uint64 {
	whole := make([]uint64, len(sizes))
	for i, size := range sizes {
		whole[i] = size >> 20
	}
	return whole
}
