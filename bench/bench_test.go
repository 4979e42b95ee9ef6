package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"authentik-graphql/internal/servicetest"
)

// TestMain lets the test's binary take the roles that the benchmark starts.
func TestMain(m *testing.M) {
	if role := roleOf(os.Args); role != nil {
		exit(role())
	}
	os.Exit(m.Run())
}

// tiny is the whole benchmark with a few hundred requests for each row.
func tiny(t *testing.T) options {
	t.Helper()
	servicetest.Program(t, "redis-server")
	o := defaults()
	o.rounds, o.time, o.perConn, o.warm, o.conns = 2, time.Minute, 15, 3, 8
	o.ids, o.documents, o.memoryConns = 50, 20, []int{10, 20}
	o.binary, o.progress = servicetest.Build(t), io.Discard
	return o
}

// TestFullStackBaseline: it gives the same answers, with and without calls of authentik.
func TestFullStackBaseline(t *testing.T) {
	o := tiny(t)
	o.baseline, o.only, o.memoryConns = fullStackRole, regexp.MustCompile("^hot id, small|^new ids"), nil
	got, err := measure(t.Context(), o)
	if err != nil || len(got.rows) != 4 {
		t.Fatalf("%v %v", got, err)
	}
	for _, r := range got.rows {
		if r.baseline[0].Requests != o.conns*o.perConn {
			t.Errorf("%s: %d requests", r.name, r.baseline[0].Requests)
		}
	}
}

// TestBenchmark relies on the benchmark's own checks of answers, logs and calls of authentik.
func TestBenchmark(t *testing.T) {
	o := tiny(t)
	got, err := measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	all := workloads(o)
	if len(got.rows) != len(all) || len(got.memory) != len(o.memoryConns) {
		t.Fatalf("%d rows, %d of memory", len(got.rows), len(got.memory))
	}
	for i, w := range all {
		r := got.rows[i]
		if !strings.Contains(got.String(), fmt.Sprintf("| %s | %s |", w.name, goal(w.goal))) {
			t.Errorf("no row %q in\n%s", w.name, got)
		}
		if r.peak == 0 {
			t.Errorf("%s: no memory", w.name)
		}
		for _, s := range append(r.service, r.baseline...) {
			answers := 0
			for _, n := range s.Latency {
				answers += n
			}
			if want := o.conns * o.perConn; s.Requests != want || answers != want {
				t.Errorf("%s: %d requests and %d answers of %d", w.name, s.Requests, answers, want)
			}
		}
	}
}

// TestWrongAnswers: the generator notices every wrong answer.
func TestWrongAnswers(t *testing.T) {
	right := fmt.Sprintf(`{"id":"%d"`+fetchedAt, hotID)
	const tail = `2026-01-02T15:04:05Z"}}}`
	for name, test := range map[string]struct {
		serve http.HandlerFunc
		error string // "" is none
	}{
		"right":     {say(right + tail), ""},
		"status":    {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, right, http.StatusBadGateway) }, "status"},
		"other id":  {say(strings.Replace(right, "1000000", "1000001", 1) + tail), "a wrong answer"},
		"short":     {say(right[1:]), "a body of"},
		"long":      {say(right + tail + tail), "a body of"},
		"errors":    {say(right + `"}},"errors":[{}]}`), "a wrong answer"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "60")
			say(right)(w, nil)
		}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(test.serve)
			defer srv.Close()
			l := load{Addr: srv.Listener.Addr().String(), Conns: 1, Requests: [][]byte{post("x")}, Want: []byte(right), Tail: tailSize, IDs: ids{N: 1}}
			g, err := connect(&l)
			if err != nil {
				t.Fatal(err)
			}
			got := g.run(run{Time: time.Minute, PerConn: 3})
			if (got.Error == "") != (test.error == "") || !strings.Contains(got.Error, test.error) {
				t.Errorf("%d requests, error %q, want %q", got.Requests, got.Error, test.error)
			}
		})
	}
}

func say(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// TestWrongCounts: a missing log line and a wrong number of calls are noticed.
func TestWrongCounts(t *testing.T) {
	b := &bench{options: tiny(t), upstream: "127.0.0.1:9"}
	var err error
	if b.cores, err = findCores(); err != nil {
		t.Fatal(err)
	}
	s, err := b.startService(t.Context(), workload{})
	if err != nil {
		t.Fatal(err)
	}
	s.requests++
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "logged 3 lines instead of 4") {
		t.Errorf("a line is missing: %v", err)
	}
	r := result{workload: workload{ids: ids{N: 1}}, calls: 1}
	if r.checkCalls(0) == nil {
		t.Error("a call for a hot id was not noticed")
	}
	r = result{service: []sample{{outcome: outcome{Requests: 2}}}, calls: 1}
	if r.checkCalls(0) == nil {
		t.Error("a missing call for a new id was not noticed")
	}
}

// TestWrongField: one answer of each row is compared in full.
func TestWrongField(t *testing.T) {
	full, err := testdata.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	for body, right := range map[string]bool{
		strings.Replace(string(full), fetchedAt, fetchedAt+"2026-01-02T15:04:05Z", 1): true,
		strings.Replace(string(full), "wiki", "wikis", 1):                             false,
	} {
		srv := httptest.NewServer(say(body))
		w := workload{answer: "full", requests: [][]byte{post("x")}}
		if _, err := w.probe(&process{}, srv.Listener.Addr().String()); (err == nil) != right {
			t.Errorf("right: %v, error: %v", right, err)
		}
		srv.Close()
	}
}

func TestGoals(t *testing.T) {
	took := func(cpu ...time.Duration) (all []sample) {
		for _, d := range cpu {
			all = append(all, sample{outcome{Requests: 1000, Took: time.Second, Latency: histogram{16 * 20: 99, 16 * 24: 1}}, d * time.Millisecond})
		}
		return all
	}
	met := result{workload: workload{name: "met", goal: 2}, service: took(30, 50, 20), baseline: took(20, 20, 20), peak: 3 << 20, calls: 4}
	lost := met
	lost.name, lost.goal = "lost", 1.4
	for _, test := range []struct {
		tables tables
		met    bool
		want   string
	}{
		{tables{rows: []result{met}}, true, "| met | 2 | 30.0 | 20.0 | 1.50 (1.00 to 2.50) | 0.67 | 1000 | 1.09 | 17.52 | 3 | 4 |\n"},
		{tables{rows: []result{met, lost}}, false, "| lost | 1.4 | 30.0 | 20.0 | 1.50 missed (1.00 to 2.50) |"},
		{tables{memory: []footprint{{600, 131 << 20}}}, true, "| 600 | 131 | 131 |\n"},
		{tables{memory: []footprint{{500, 129 << 20}}}, false, "| 500 | 129 missed | 128 |\n"},
	} {
		if got := test.tables.String(); test.tables.met() != test.met || !strings.Contains(got, test.want) {
			t.Errorf("met %v, not %v; want %q in\n%s", test.tables.met(), test.met, test.want, got)
		}
	}
}
