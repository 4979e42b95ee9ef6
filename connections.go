package main

import (
	"context"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"

	"authentik-graphql/graph"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/config"
)

// spareConnections are those over MAX_CONNECTIONS that are still taken, to be told so.
const spareConnections = 64

// connectionLimit answers requests on connections over the limit with 503 and ends them. So that
// they are bounded as well, no more than spareConnections of them are taken at a time; the next
// wait in the system's queue.
type connectionLimit struct {
	limit int64
	open  atomic.Int64
	// refused is told of each request that is refused.
	refused func()
	// ending tells that each answer is to end its connection.
	ending atomic.Bool
}

// overLimitKey is the context's key for whether a connection is over the limit.
type overLimitKey struct{}

// listener bounds what is accepted, and counts it.
func (c *connectionLimit) listener(ln net.Listener) net.Listener {
	return netutil.LimitListener(ln, int(c.limit)+spareConnections)
}

// connContext is an [http.Server]'s ConnContext hook: it counts the connection.
func (c *connectionLimit) connContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, overLimitKey{}, c.open.Add(1) > c.limit)
}

// connState is the ConnState hook.
func (c *connectionLimit) connState(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		c.open.Add(-1)
	}
}

// handler refuses requests on connections over the limit.
func (c *connectionLimit) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if over, _ := r.Context().Value(overLimitKey{}).(bool); !over {
			next.ServeHTTP(w, r)
			return
		}
		w.Header()["Connection"] = []string{"close"}
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r) // who kills a process because it is asked for much only makes it worse
			return
		}
		c.refused()
		w.Header()["Retry-After"] = []string{"1"}
		graph.WriteError(w, r, apierror.New(apierror.TooManyConnections, "Too many connections are open: MAX_CONNECTIONS is reached. Try again later."))
	})
}

// serverLog takes what net/http says of connections, which is for debugging only, but for one thing: that
// connections cannot be taken. net/http tries again up to each second, so that is told once in a while.
type serverLog struct {
	log  *slog.Logger
	tell rate.Sometimes
}

// newServerLog makes the ErrorLog of an [http.Server].
func newServerLog(log *slog.Logger) *stdlog.Logger {
	return stdlog.New(&serverLog{log: log, tell: rate.Sometimes{First: 1, Interval: time.Minute}}, "", 0)
}

// Write implements [io.Writer].
func (l *serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if _, refusal, ok := strings.Cut(text, "Accept error: "); ok {
		l.tell.Do(func() { l.log.Warn("connections cannot be taken", "error", refusal) })
	} else {
		l.log.Debug(text)
	}
	return len(line), nil
}

// endIfAsked lets an answer whose header is about to be written end its connection, if the process ends.
// Asked earlier, it would leave connections of requests that take long, which are then closed while
// somebody uses them again.
func (c *connectionLimit) endIfAsked(h http.Header) {
	if c.ending.Load() {
		h["Connection"] = []string{"close"}
	}
}

// checkFiles warns where the system lets the process open fewer files than the settings allow
// connections.
func checkFiles(log *slog.Logger, cfg config.Config) {
	const others = 64                                                                                                       // the binary, Redis, files that are read again, profiles
	if most, want := openFiles(), uint64(cfg.MaxConnections)+spareConnections+uint64(cfg.Concurrency)+others; most < want { //nolint:gosec // counts are positive
		log.Warn("the system lets this process open fewer files than MAX_CONNECTIONS and UPSTREAM_CONCURRENCY need", "may_open", most, "need", want)
	}
}
