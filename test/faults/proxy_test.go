//go:build linux

package faults

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy forwards TCP connections to a server and can delay what clients send.
type proxy struct {
	target   string
	listener net.Listener
	delay    atomic.Int64 // of what clients send, a time.Duration
	ctx      context.Context
	running  sync.WaitGroup
}

// startProxy starts a proxy in front of the server at target. It ends with the test.
func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, listener: listener, ctx: ctx}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		p.running.Wait()
	})
	return p
}

// slow delays everything that clients send from now on by d.
func (p *proxy) slow(d time.Duration) { p.delay.Store(int64(d)) }

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve forwards one connection until either side closes it or the proxy ends.
func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	closeBoth := func() { _, _ = client.Close(), server.Close() }
	defer context.AfterFunc(p.ctx, closeBoth)()
	p.running.Go(func() {
		_, _ = io.Copy(client, server)
		closeBoth()
	})
	p.forward(server, client)
}

// forward copies what the client sends. A read is one command: clients send each in one write.
func (p *proxy) forward(server io.Writer, client io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if d := time.Duration(p.delay.Load()); d > 0 {
			select {
			case <-time.After(d):
			case <-p.ctx.Done():
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}
