package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is what the generator sends over each of its connections, again and again.
type load struct {
	Addr     string
	Conns    int
	Requests [][]byte // in turn; hotID in them is replaced by the requested id
	Want     []byte   // the beginning of every body
	Tail     int      // the most bytes of a body beyond Want
	SameID   bool     // every answer is about hotID, whatever the request
	IDs      ids
	Trace    bool // traceSlot in Requests is replaced by a new number each time
}

// ids are the requested ids: N from hotID on, by Zipf's law or one after the other. N is 1 for one hot id
// and 0 for ids that are never repeated.
type ids struct {
	N    int
	Zipf bool
}

// traceSlot is the part of a request that differs in each.
const traceSlot = "bead000000000000"

// run ends after Time, or after PerConn requests of each connection if PerConn is not 0.
type run struct {
	Time    time.Duration
	PerConn int
	InTurn  bool // ids come one after the other, whatever load.IDs says
}

// outcome is the result of a run.
type outcome struct {
	Requests int
	Took     time.Duration
	Latency  histogram
	Error    string // the first error, which ended the run
}

// runLoad is the generator's process: it reads a load and then runs from stdin, and writes the outcome of
// each run to stdout.
func runLoad() error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var l load
	if err := in.Decode(&l); err != nil {
		return err
	}
	g, err := connect(&l)
	if err != nil {
		return err
	}
	for {
		var r run
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(g.run(r)); err != nil {
			return err
		}
	}
}

type generator struct {
	conns  []*client
	serial atomic.Int64
}

// client is one connection.
type client struct {
	*load
	*generator
	conn     net.Conn
	in       *bufio.Reader
	requests []request
	next     int
	want     []byte
	wantIDs  []int // offsets of the id in want
	body     []byte
	zipf     *rand.Zipf
	latency  histogram
	sent     int
}

type request struct {
	raw         []byte
	ids, traces []int // offsets
}

func connect(l *load) (*generator, error) {
	g := &generator{}
	for i := range l.Conns {
		conn, err := net.Dial("tcp", l.Addr)
		if err != nil {
			return nil, err
		}
		c := &client{load: l, generator: g, conn: conn, in: bufio.NewReaderSize(conn, 8<<10), latency: histogram{}, next: i * len(l.Requests) / l.Conns}
		for _, raw := range l.Requests {
			r := request{raw: raw}
			if l.Trace || l.IDs.N != 1 { // the connection writes to its own copy
				r = request{bytes.Clone(raw), offsets(raw, strconv.Itoa(hotID)), offsets(raw, traceSlot)}
			}
			c.requests = append(c.requests, r)
		}
		c.want = bytes.Clone(l.Want)
		if !l.SameID {
			c.wantIDs = offsets(l.Want, strconv.Itoa(hotID))
		}
		if l.IDs.Zipf {
			c.zipf = rand.NewZipf(rand.New(rand.NewPCG(uint64(i), 1)), 1.1, 1, uint64(l.IDs.N-1))
		}
		g.conns = append(g.conns, c)
	}
	return g, nil
}

// offsets returns where word is in b.
func offsets(b []byte, word string) (at []int) {
	for i := 0; ; i += len(word) {
		n := bytes.Index(b[i:], []byte(word))
		if n < 0 {
			return at
		}
		i += n
		at = append(at, i)
	}
}

func (g *generator) run(r run) outcome {
	o := outcome{Latency: histogram{}}
	began := time.Now()
	group, ctx := errgroup.WithContext(context.Background())
	for _, c := range g.conns {
		group.Go(func() error { return c.run(ctx, r, began.Add(r.Time)) })
	}
	if err := group.Wait(); err != nil {
		o.Error = err.Error()
	}
	o.Took = time.Since(began)
	for _, c := range g.conns {
		o.Requests += c.sent
		o.Latency.merge(c.latency)
	}
	return o
}

func (c *client) run(ctx context.Context, r run, until time.Time) error {
	c.sent = 0
	clear(c.latency)
	_ = c.conn.SetDeadline(until.Add(20 * time.Second))
	for began := time.Now(); began.Before(until) && (r.PerConn == 0 || c.sent < r.PerConn) && ctx.Err() == nil; c.sent++ {
		if _, err := c.conn.Write(c.prepare(r.InTurn)); err != nil {
			return err
		}
		if err := c.readAnswer(); err != nil {
			return err
		}
		now := time.Now()
		c.latency.add(now.Sub(began))
		began = now
	}
	return nil
}

// prepare makes the next request and the answer to expect.
func (c *client) prepare(inTurn bool) []byte {
	r := &c.requests[c.next]
	c.next = (c.next + 1) % len(c.requests)
	if c.Trace {
		number := fmt.Appendf(nil, "%016x", c.serial.Add(1))
		for _, at := range r.traces {
			copy(r.raw[at:], number)
		}
	}
	if c.IDs.N == 1 {
		return r.raw
	}
	id := hotID
	switch {
	case c.zipf != nil && !inTurn:
		id += int(c.zipf.Uint64())
	case c.IDs.N == 0:
		id += int(c.serial.Add(1))
	default:
		id += int(c.serial.Add(1)) % c.IDs.N
	}
	text := strconv.AppendInt(nil, int64(id), 10)
	for _, at := range r.ids {
		copy(r.raw[at:], text)
	}
	for _, at := range c.wantIDs {
		copy(c.want[at:], text)
	}
	return r.raw
}

var (
	statusOK      = []byte("HTTP/1.1 200 OK\r\n")
	contentLength = []byte("Content-Length: ")
)

// readAnswer reads an answer and checks it.
func (c *client) readAnswer() error {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.Equal(line, statusOK) {
		return fmt.Errorf("status %.40q", line)
	}
	size := -1
	for len(line) > 2 {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return err
		}
		if text, ok := bytes.CutPrefix(line, contentLength); ok {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(text))); err != nil {
				return err
			}
		}
	}
	if size < len(c.want) || size > len(c.want)+c.Tail {
		return fmt.Errorf("a body of %d bytes instead of %d and at most %d more", size, len(c.want), c.Tail)
	}
	if cap(c.body) < size {
		c.body = make([]byte, size)
	}
	c.body = c.body[:size]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return err
	}
	tail, ok := bytes.CutPrefix(c.body, c.want)
	if !ok || bytes.Contains(tail, []byte(`"errors"`)) {
		return fmt.Errorf("a wrong answer: %.300s", c.body)
	}
	return nil
}
