package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"
	"golang.org/x/time/rate"

	"authentik-graphql/internal/telemetry/spans"
)

// Options of a [Client]. The zero value of a field takes the default named there.
type Options struct {
	// BaseURL is authentik's address with an optional path prefix and no query.
	BaseURL *url.URL
	// RootCAs verify authentik's certificate; nil is the system's.
	RootCAs *x509.CertPool
	// Pins, if there are any, take the place of RootCAs: authentik must present a certificate with one of
	// these SHA-256 fingerprints.
	Pins [][sha256.Size]byte
	// Timeout bounds one call from start to last byte, including the wait for its turn and retries. With
	// 0 every call fails.
	Timeout time.Duration
	// Concurrency is how many calls may run at once; 64. Another 1,024 may wait within their Timeout.
	Concurrency int
	// UserAgent is sent with each call; empty is resty's own.
	UserAgent string
	// Now is the clock; time.Now.
	Now func() time.Time
	// Logger gets what callers are not told; slog.Default().
	Logger *slog.Logger
	// Observe, if not nil, is called after each call that was sent, with the time until its answer was
	// read and what the answer's status and type mean: nil or an *Error.
	Observe func(took time.Duration, err error)
	// Spans makes the spans of calls and passes the trace context on; nil does neither.
	Spans *spans.Tracer
}

// Client calls authentik. It is safe for concurrent use and lives as long as the process.
type Client struct {
	base    string
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	spans   *spans.Tracer
	server  *url.URL
	policy  *policy
	http    *http.Client
	resty   *resty.Client
	bodies  bodies

	keys    *keyCounts
	calls   atomic.Int64
	mu      sync.Mutex
	dropped map[string]int64
	foreign map[int]*foreignAnswers
}

// foreignAnswers are those of one status that authentik's API does not give.
type foreignAnswers struct {
	sometimes rate.Sometimes
	unlogged  int64
}

// Answer is a value and where it comes from.
type Answer[T any] struct {
	Value T
	// FetchedAt is when authentik gave the answer.
	FetchedAt time.Time
	// AuthentikID is authentik's own id of the request, by which its logs name it. It may be empty.
	AuthentikID string
}

// NewClient makes a client. It does not connect yet.
func NewClient(o Options) *Client {
	if o.Concurrency <= 0 {
		o.Concurrency = 64
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	hc := newHTTPClient(tlsConfig(o.RootCAs, o.Pins), o.Concurrency)
	return &Client{
		base:    strings.TrimRight(o.BaseURL.String(), "/"),
		timeout: o.Timeout,
		now:     o.Now,
		log:     o.Logger,
		spans:   o.Spans,
		server:  o.BaseURL,
		policy:  newPolicy(o),
		http:    hc,
		resty:   newResty(hc, o.UserAgent),
		bodies:  newBodies(),
		keys:    newKeyCounts(o.Logger),
		dropped: map[string]int64{},
		foreign: map[int]*foreignAnswers{},
	}
}

// newResty uses resty for making requests alone. Its cookie jar, retries, redirects, body reading, debug
// output and warnings (one for each request over plain HTTP) stay off.
func newResty(hc *http.Client, userAgent string) *resty.Client {
	return resty.NewWithClient(hc).
		SetHeader("User-Agent", userAgent).
		SetRetryCount(0).
		SetDisableWarn(true).
		SetDoNotParseResponse(true)
}

// Ready asks authentik's readiness probe. Any 2xx is ready.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.resty.R().SetContext(ctx).Get(c.base + "/-/health/ready/")
	if err != nil {
		return fmt.Errorf("reach authentik: %w", withRemedy(err))
	}
	defer func() { _ = resp.RawBody().Close() }()
	if resp.StatusCode() == http.StatusNotFound {
		return errors.New("no authentik answers there: status 404; check its address and its path prefix")
	}
	if resp.StatusCode() < 200 || resp.StatusCode() > 299 {
		return fmt.Errorf("authentik is not ready: status %d", resp.StatusCode())
	}
	return nil
}

// countDropped counts fields of an unexpected form, and logs each name once: a new release is noticed but
// does not fill the log. The names are constants.
func (c *Client) countDropped(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if c.dropped[name]++; c.dropped[name] == 1 {
			c.log.WarnContext(ctx, "authentik sent a field in an unknown form; it is shown as null", "field", name)
		}
	}
}

// noteForeign logs an answer that authentik's API does not give, with what to look at: for each status at once,
// and then once a minute with the number of answers since. Every request may get one.
func (c *Client) noteForeign(ctx context.Context, err error) {
	e, failed := errors.AsType[*Error](err)
	why, isForeign := errors.AsType[foreign](err)
	if !failed || !isForeign || e.Kind != InvalidResponse {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answers := c.foreign[e.Status]
	if answers == nil {
		answers = &foreignAnswers{sometimes: rate.Sometimes{First: 1, Interval: time.Minute}}
		c.foreign[e.Status] = answers
	}
	answers.unlogged++
	answers.sometimes.Do(func() {
		c.log.WarnContext(ctx, "authentik's API gives no such answer", "status", e.Status, "hint", why.Error(), "answers", answers.unlogged)
		answers.unlogged = 0
	})
}

// Stats are counts since the start, and the present state of calls and breaker.
type Stats struct {
	// Calls sent to authentik's API, retries included.
	Calls int64
	// Retries are the calls that were sent again after a failure.
	Retries int64
	// Running and Queued are the calls that run and that wait for their turn at present.
	Running, Queued int64
	// Rejected counts calls and retries that were not sent: the breaker was open, the queue was full, or
	// their time ended in the queue.
	Rejected int64
	// BreakerState is closed, open or half-open. An open breaker becomes half-open with the first call
	// after its delay.
	BreakerState string
	// BreakerOpened is how often the breaker opened because calls failed. A failed probe opens it again
	// but does not count.
	BreakerOpened int64
	// Dropped counts fields of an unknown form, by name.
	Dropped map[string]int64
}

// Stats returns a copy of the counts.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Calls:    c.calls.Load(),
		Retries:  c.policy.retries.Load(),
		Running:  int64(len(c.policy.slots)),
		Queued:   c.policy.queued.Load(),
		Rejected: c.policy.rejected.Load(),
		Dropped:  maps.Clone(c.dropped),
	}
	s.BreakerState, s.BreakerOpened = c.policy.breaker.state()
	return s
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
