package cache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// tlsDialTimeout leaves a handshake two round trips more than a plain connection needs.
	tlsDialTimeout = 250 * time.Millisecond
	// findTimeout bounds a new connection in sentinel mode. If the sentinel that was asked last is
	// gone, go-redis waits for it twice, then asks the others and connects to the primary. With a
	// bound as short as one wait it may give up before, and do so every time.
	findTimeout = time.Second
	// clusterReload is how old the map of a cluster's slots may be. Only a node that answers can
	// say that a slot has moved, so after a master's death nothing but this finds its successor.
	clusterReload = 2 * time.Second
	// clusterRedirects is enough for a slot that moved before and is moving again.
	clusterRedirects = 3
	redisConns       = 32
)

// RedisMode is how Redis is run.
type RedisMode string

// The modes. An empty one is Standalone.
const (
	Standalone RedisMode = "standalone"
	Cluster    RedisMode = "cluster"
	Sentinel   RedisMode = "sentinel"
)

// UnmarshalText takes the name of a mode.
func (m *RedisMode) UnmarshalText(text []byte) error {
	switch mode := RedisMode(text); mode {
	case Standalone, Cluster, Sentinel:
		*m = mode
		return nil
	}
	return errUnknownMode
}

// RedisOptions say which Redis to use.
type RedisOptions struct {
	// URL is the server's redis://, rediss:// or unix:// address, with a user, a password and the
	// number of a database if there are any. Cluster and Sentinel take further addresses as
	// parameters, addr=host:port each, and a certificate must then hold the name of the first.
	//
	// With Sentinel the addresses, the user and the password are the sentinels', and the parameter
	// master_name is required; the parameters username and password are for Redis itself.
	//
	// The only other parameter that counts is client_name.
	URL  string
	Mode RedisMode
	// RootCAs are trusted for rediss://; nil means the system's.
	RootCAs *x509.CertPool
}

// The errors continue "REDIS_URL ...", and never hold what was given, which may be a password.
var (
	errUnknownMode = errors.New("is for a mode that is not standalone, cluster or sentinel")
	errScheme      = errors.New("is not a redis://, rediss:// or unix:// URL; for example redis://127.0.0.1:6379/0")
	errParts       = errors.New("has an address, a database number or a parameter that cannot be used")
	errSkipVerify  = errors.New("must not have skip_verify; name the server's certificate in REDIS_CA_FILE instead")
	errNoTLS       = errors.New("must begin with rediss:// if REDIS_CA_FILE is set")
	errSocket      = errors.New("must not be a unix:// URL in cluster and sentinel mode")
	errAddrs       = errors.New("has the parameter addr, which is for REDIS_MODE=cluster and REDIS_MODE=sentinel")
	errNoMaster    = errors.New("lacks the parameter master_name, as in redis://127.0.0.1:26379?master_name=mymaster")
	errMaster      = errors.New("has the parameter master_name, which is for REDIS_MODE=sentinel")
	errDatabase    = errors.New("must not have a database number in cluster mode; a cluster has no other than 0")
)

// NewRedisClient makes a client that fails fast: every wait is short and no failure is waited out,
// because a cache that makes its callers wait is worse than none. It connects to nothing yet.
//
// In cluster mode a command that failed is sent anew within its context, as redirections are, so it
// may be run twice; and one without a name, such as SCRIPT LOAD or SCAN, goes to any one node.
func NewRedisClient(o RedisOptions) (redis.UniversalClient, error) {
	u, err := redisTarget(o)
	if err != nil {
		return nil, err
	}
	dial := redisTimeout
	if u.TLSConfig != nil {
		dial = tlsDialTimeout
		u.TLSConfig.MinVersion = tls.VersionTLS12
		u.TLSConfig.RootCAs = o.RootCAs
	}
	u.Dialer = dialer(u.TLSConfig, dial)
	u.DialTimeout = dial
	u.ReadTimeout = redisTimeout
	u.WriteTimeout = redisTimeout
	u.PoolTimeout = redisTimeout
	u.ContextTimeoutEnabled = true // off by default: a context's deadline would be ignored
	u.MaxRetries = -1              // 0 would mean 3
	u.DialerRetries = 1
	u.PoolSize = redisConns
	u.MaxActiveConns = redisConns
	u.PipelinePoolSize = -1 // pipelines would have connections of their own beside those
	u.DisableIdentity = true
	u.Protocol = 2 // all that is needed, and old servers and proxies know it
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch o.Mode {
	case Cluster:
		u.MaxRedirects = clusterRedirects
		c := u.Cluster()
		c.ClusterStateReloadInterval = clusterReload
		// Routing policies begin with a COMMAND, for which go-redis waits whatever the context says.
		c.DisableRoutingPolicies = true
		return redis.NewClusterClient(c), nil
	case Sentinel:
		u.DialTimeout = findTimeout
		return redis.NewFailoverClient(u.Failover()), nil
	}
	return redis.NewClient(u.Simple()), nil
}

// redisTarget reads where to connect and as whom, and nothing else: a URL can hold every option of
// go-redis, and some would undo what NewRedisClient sets.
func redisTarget(o RedisOptions) (*redis.UniversalOptions, error) {
	address, err := checkRedisURL(o)
	if err != nil {
		return nil, err
	}
	switch o.Mode {
	case Cluster:
		p, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, errParts // the cause may hold the password
		}
		return &redis.UniversalOptions{
			Addrs: p.Addrs, ClientName: p.ClientName, TLSConfig: p.TLSConfig,
			Username: p.Username, Password: p.Password,
		}, nil
	case Sentinel:
		p, err := redis.ParseFailoverURL(address)
		if err != nil {
			return nil, errParts
		}
		return &redis.UniversalOptions{
			Addrs: p.SentinelAddrs, MasterName: p.MasterName, DB: p.DB, ClientName: p.ClientName, TLSConfig: p.TLSConfig,
			Username: p.Username, Password: p.Password,
			SentinelUsername: p.SentinelUsername, SentinelPassword: p.SentinelPassword,
		}, nil
	}
	p, err := redis.ParseURL(address)
	if err != nil {
		return nil, errParts
	}
	return &redis.UniversalOptions{
		Addrs: []string{p.Addr}, DB: p.DB, ClientName: p.ClientName, TLSConfig: p.TLSConfig,
		Username: p.Username, Password: p.Password,
	}, nil
}

// checkRedisURL refuses what contradicts itself, which go-redis takes silently or says in words
// that may hold the password. It returns the URL in the form that go-redis reads in this mode.
func checkRedisURL(o RedisOptions) (string, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Opaque != "" {
		return "", errScheme
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return "", errScheme
	}
	q := u.Query()
	cluster, sentinel := o.Mode == Cluster, o.Mode == Sentinel
	switch {
	case !cluster && !sentinel && o.Mode != Standalone && o.Mode != "":
		return "", errUnknownMode
	case q.Has("skip_verify"):
		return "", errSkipVerify
	case o.RootCAs != nil && u.Scheme != "rediss":
		return "", errNoTLS
	case u.Scheme == "unix" && (cluster || sentinel):
		return "", errSocket
	case q.Has("addr") && !cluster && !sentinel:
		return "", errAddrs
	case q.Has("master_name") && !sentinel:
		return "", errMaster
	case q.Get("master_name") == "" && sentinel:
		return "", errNoMaster
	}
	if cluster { // go-redis overlooks a number in the path, and knows no parameter for it
		for _, db := range []string{strings.Trim(u.Path, "/"), q.Get("db")} {
			if n, err := strconv.Atoi(db); db != "" && (err != nil || n != 0) {
				return "", errDatabase
			}
		}
		q.Del("db")
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}

// dialer connects within the timeout and the context. That of go-redis forgets the context in a
// handshake, and in sentinel mode would bound a connection by what may be spent on several.
func dialer(config *tls.Config, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout}
	if config == nil {
		return d.DialContext
	}
	return (&tls.Dialer{NetDialer: d, Config: config}).DialContext
}
