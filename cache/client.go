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
	// tlsDialTimeout allows for the two round trips of a handshake.
	tlsDialTimeout = 250 * time.Millisecond
	// sentinelDialTimeout bounds a new connection in sentinel mode. If the last sentinel is gone, go-redis
	// waits for it twice before it asks the others and connects to the primary. With a shorter bound it would
	// give up first, every time.
	sentinelDialTimeout = time.Second
	// clusterReload is how often the map of a cluster's slots is reloaded. After a master's death nothing
	// else finds its successor, because only a node that answers redirects.
	clusterReload = 2 * time.Second
	redisConns    = 32
)

// RedisMode is how Redis is deployed.
type RedisMode string

// The modes. The empty mode is Standalone.
const (
	Standalone RedisMode = "standalone"
	Cluster    RedisMode = "cluster"
	Sentinel   RedisMode = "sentinel"
)

// UnmarshalText parses the name of a mode.
func (m *RedisMode) UnmarshalText(text []byte) error {
	switch mode := RedisMode(text); mode {
	case Standalone, Cluster, Sentinel:
		*m = mode
		return nil
	}
	return errUnknownMode
}

// RedisOptions say how to connect to Redis.
type RedisOptions struct {
	// URL is a redis://, rediss:// or unix:// address, with user, password and database number if needed.
	// Cluster and Sentinel take more addresses as parameters, addr=host:port each; certificates must then be
	// valid for the host of the first.
	//
	// With Sentinel, addresses, user and password are those of the sentinels. The parameter master_name is
	// required, and the parameters username and password are for Redis itself. Besides these, only
	// client_name has an effect.
	URL  string
	Mode RedisMode
	// RootCAs are trusted for rediss://; nil means those of the system.
	RootCAs *x509.CertPool
}

// The errors continue "REDIS_URL ...". They never contain parts of it, which may be a password.
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

// NewRedisClient makes a client that fails fast: it waits briefly and does not retry, because a cache that
// makes its callers wait is worse than none. It does not connect yet.
//
// In cluster mode go-redis sends a failed command again within its context, so that it may run twice, and
// sends a command without a key, such as SCAN, to any node.
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
	u.PipelinePoolSize = -1 // no further connections for pipelines
	u.DisableIdentity = true
	u.Protocol = 2 // old servers and proxies know no other
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch o.Mode {
	case Cluster:
		c := u.Cluster()
		c.ClusterStateReloadInterval = clusterReload
		// Routing policies start with a COMMAND, for which go-redis ignores the context.
		c.DisableRoutingPolicies = true
		return redis.NewClusterClient(c), nil
	case Sentinel:
		u.DialTimeout = sentinelDialTimeout
		return redis.NewFailoverClient(u.Failover()), nil
	}
	return redis.NewClient(u.Simple()), nil
}

// redisTarget takes from the URL only where to connect and as whom. Further options of go-redis in it would
// undo what NewRedisClient sets.
func redisTarget(o RedisOptions) (*redis.UniversalOptions, error) {
	address, err := checkRedisURL(o)
	if err != nil {
		return nil, err
	}
	switch o.Mode {
	case Cluster:
		p, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, errParts // the cause may contain the password
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

// checkRedisURL refuses contradictions, which go-redis ignores or reports together with the password. It
// returns the URL as go-redis parses it in this mode.
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
	if cluster { // go-redis ignores a number in the path and refuses the parameter
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

// dialer connects within the timeout and the context. The dialer of go-redis ignores the context in a
// handshake, and in sentinel mode would allow one connection the time of several.
func dialer(config *tls.Config, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout}
	if config == nil {
		return d.DialContext
	}
	return (&tls.Dialer{NetDialer: d, Config: config}).DialContext
}
