package httpserver

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
)

// spareConnections is how many connections over the limit are accepted, to be refused with a response.
const spareConnections = 64

// connectionLimit answers requests on connections over the limit with 503 and closes them. At most
// spareConnections of them are accepted at a time; the next wait in the system's queue.
type connectionLimit struct {
	limit   int64
	open    atomic.Int64
	refused func() // called for each request that is refused
	// ending reports whether each response is to close its connection.
	ending atomic.Bool
}

// overLimitKey is the context's key for whether a connection is over the limit.
type overLimitKey struct{}

// listener bounds the connections that are accepted.
func (c *connectionLimit) listener(ln net.Listener) net.Listener {
	return netutil.LimitListener(ln, int(c.limit)+spareConnections)
}

// connContext is an [http.Server]'s ConnContext hook: it counts the connection.
func (c *connectionLimit) connContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, overLimitKey{}, c.open.Add(1) > c.limit)
}

// connState is an [http.Server]'s ConnState hook.
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
			next.ServeHTTP(w, r) // a process that is killed for being busy makes the rest busier
			return
		}
		c.refused()
		w.Header()["Retry-After"] = []string{"1"}
		graph.WriteError(w, r, apierror.New(apierror.TooManyConnections, "Too many connections are open: MAX_CONNECTIONS is reached. Try again later."))
	})
}

// endIfAsked closes the connection of a response whose header is about to be written, if the process ends. To
// decide it earlier would miss requests that take long, whose connections would then be closed while the client
// uses them again.
func (c *connectionLimit) endIfAsked(h http.Header) {
	if c.ending.Load() {
		h["Connection"] = []string{"close"}
	}
}

// serverLog receives what net/http logs of connections. It warns once a minute that connections cannot be accepted,
// which net/http retries each second. The rest is for debugging.
type serverLog struct {
	log  *slog.Logger
	warn rate.Sometimes
}

// newServerLog makes the ErrorLog of an [http.Server].
func newServerLog(log *slog.Logger) *stdlog.Logger {
	return stdlog.New(&serverLog{log: log, warn: rate.Sometimes{First: 1, Interval: time.Minute}}, "", 0)
}

// Write implements [io.Writer].
func (l *serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if _, refusal, ok := strings.Cut(text, "Accept error: "); ok {
		l.warn.Do(func() { l.log.Warn("connections cannot be accepted", "error", refusal) })
	} else {
		l.log.Debug(text)
	}
	return len(line), nil
}

// warnOfFewFiles warns if the system lets the process open fewer files than it may need.
func warnOfFewFiles(log *slog.Logger, connections, others int) {
	if most, want := openFiles(), uint64(connections+spareConnections+others); most < want { //nolint:gosec // counts are positive
		log.Warn("the system lets this process open fewer files than MAX_CONNECTIONS and UPSTREAM_CONCURRENCY need", "may_open", most, "need", want)
	}
}
