package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"authentik-graphql/internal/servicetest"
)

var (
	idCount  = flag.Int("ids", 20_000, "how many ids TestManyIDs asks for; 1000000 takes minutes")
	idMemory = flag.String("ids-memory", "8MiB", "CACHE_MEMORY of TestManyIDs")
)

// rssBeside is how much more than CACHE_MEMORY may be resident: what the soft limit allows and pages of the
// program itself, which Go does not count.
const rssBeside = 64 << 20

// TestManyIDs asks the binary once for each of many more codes than its memory holds. It must evict, and
// never exceed CACHE_MEMORY by more than rssBeside.
func TestManyIDs(t *testing.T) {
	servicetest.Long(t)
	memory, err := humanize.ParseBytes(*idMemory)
	if err != nil {
		t.Fatal(err)
	}
	authentik, calls := startCanned(t)
	service := servicetest.Start(t, servicetest.Build(t), nil, "AUTHENTIK_URL="+authentik, "CACHE_MEMORY="+*idMemory, "CACHE_TTL=1h")
	stopWatching := watch(service)
	start := time.Now()
	requests := askEntities(t, service.URL, *idCount)
	took := time.Since(start)
	rss := stopWatching()
	_, peak := service.Memory()
	t.Logf("%d ids in %d requests and %.1f s; resident: %s at the peak, %s at the end, seen %v; bound %s + %s",
		*idCount, requests, took.Seconds(), humanize.IBytes(uint64(peak)), humanize.IBytes(uint64(rss[len(rss)-1])), mebibytes(rss),
		humanize.IBytes(memory), humanize.IBytes(rssBeside))
	if got := calls.Load(); got != int64(*idCount) {
		t.Errorf("authentik was asked %d times", got)
	}
	if uint64(peak) >= memory+rssBeside {
		t.Errorf("%s were resident at the peak, %s at most are allowed", humanize.IBytes(uint64(peak)), humanize.IBytes(memory+rssBeside))
	}
}

// startCanned serves one recorded code under every id, as cheaply as possible.
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

// askEntities asks for the ids from 1 to n over several connections, a hundred at a time as a gateway does.
// It returns the number of requests.
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

// watch samples the resident set until the returned function is called, which returns some twenty samples
// spread over the time.
func watch(service *servicetest.Service) (stop func() []int) {
	var samples []int
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			now, _ := service.Memory()
			samples = append(samples, now)
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (some []int) {
		close(end)
		<-ended
		for i := range 20 {
			some = append(some, samples[i*(len(samples)-1)/19])
		}
		return some
	}
}

func mebibytes(sizes []int) []int {
	whole := make([]int, len(sizes))
	for i, size := range sizes {
		whole[i] = size >> 20
	}
	return whole
}
