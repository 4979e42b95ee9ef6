package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-resty/resty/v2"
	"github.com/maypok86/otter/v2"
	"github.com/redis/go-redis/v9"
)

// runFullStack is the process of the full-stack baseline. Beyond runBare it reads the body, has the
// service's timeouts and writes its header fields, but it does not decide what to answer. With authentik's
// URL as an argument it also fetches a new id for each request. Further arguments are the file of
// authentik's CA, which may be empty, and the URL of Redis.
func runFullStack() error {
	var a answer
	if err := json.NewDecoder(os.Stdin).Decode(&a); err != nil {
		return err
	}
	a.Header.Del("Date") // net/http's own
	read := func(*http.Request, []byte) error { return nil }
	if args := os.Args[2:]; len(args) > 0 {
		stack, err := newFullStack(args[0], args[1], args[2:])
		if err != nil {
			return err
		}
		read = stack.read
	}
	return serve(&http.Server{
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 40 * time.Second, IdleTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := make([]byte, r.ContentLength)
			if _, err := io.ReadFull(r.Body, body); err != nil {
				return
			}
			if err := read(r, body); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway) // which ends the run
				return
			}
			maps.Copy(w.Header(), a.Header)
			_, _ = w.Write(a.Body)
		}),
	})
}

// fullStack does for a new id what the libraries do: it decodes the request, looks into memory and Redis,
// calls authentik, decodes its answer, and stores that encoded in both. It checks, shares, bounds, seals,
// counts and logs nothing.
type fullStack struct {
	resty  *resty.Client
	base   string
	ids    atomic.Int64
	memory *otter.Cache[string, string]
	redis  *redis.Client // or nil
}

func newFullStack(upstream, caFile string, redisURL []string) (*fullStack, error) {
	const size, overhead, conns = 64 << 20, 320, 64
	memory, err := otter.New(&otter.Options[string, string]{
		MaximumWeight:    size,
		Weigher:          func(key, value string) uint32 { return uint32(len(key) + len(value) + overhead) },
		ExpiryCalculator: otter.ExpiryWriting[string, string](time.Hour),
	})
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns, DisableCompression: true}
	s := &fullStack{resty: resty.NewWithClient(&http.Client{Transport: transport}), base: upstream + codesPath, memory: memory}
	s.resty.SetDisableWarn(true).SetDoNotParseResponse(true)
	if caFile != "" {
		s.resty.SetRootCertificate(caFile)
	}
	if len(redisURL) > 0 {
		o, err := redis.ParseURL(redisURL[0])
		if err != nil {
			return nil, err
		}
		o.PoolSize, o.Protocol, o.DisableIdentity = conns, 2, true
		s.redis = redis.NewClient(o)
	}
	return s, nil
}

func (s *fullStack) read(r *http.Request, body []byte) error {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	var query struct {
		Query     string              `json:"query"`
		Variables struct{ ID string } `json:"variables"`
	}
	if err := jsonv2.Unmarshal(body, &query, jsonv2.MatchCaseInsensitiveNames(true)); err != nil {
		return err
	}
	id := strconv.FormatInt(hotID+s.ids.Add(1), 10)
	token := r.Header.Get("Authorization")
	key := token + id
	if _, found := s.memory.GetIfPresent(key); found {
		return nil
	}
	if s.redis != nil {
		if err := s.redis.Get(ctx, key).Err(); err != redis.Nil { //nolint:errorlint // the sentinel itself
			return err
		}
	}
	resp, err := s.resty.R().SetContext(ctx).SetHeader("Accept", "application/json").SetHeader("Authorization", token).Get(s.base + id + "/")
	if err != nil {
		return err
	}
	defer func() { _ = resp.RawBody().Close() }()
	answer := make([]byte, resp.RawResponse.ContentLength)
	if _, err := io.ReadFull(resp.RawBody(), answer); err != nil {
		return err
	}
	var c storedCode
	if err := jsonv2.Unmarshal(answer, &c); err != nil {
		return err
	}
	encoded, err := jsonv2.Marshal(&c)
	if err != nil {
		return err
	}
	s.memory.Set(key, string(encoded))
	if s.redis != nil {
		return s.redis.Set(ctx, key, encoded, time.Hour).Err()
	}
	return nil
}

// storedCode is authentik's answer as package json decodes it.
type storedCode struct {
	PK        int       `json:"pk"`
	Provider  *provider `json:"provider"`
	User      *user     `json:"user"`
	IsExpired bool      `json:"is_expired"`
	Expires   time.Time `json:"expires"`
	Scope     []string  `json:"scope"`
}

type provider struct {
	PK                                 int      `json:"pk"`
	Name                               *string  `json:"name"`
	AuthenticationFlow                 *string  `json:"authentication_flow"`
	AuthorizationFlow                  *string  `json:"authorization_flow"`
	InvalidationFlow                   *string  `json:"invalidation_flow"`
	PropertyMappings                   []string `json:"property_mappings"`
	Component                          *string  `json:"component"`
	AssignedApplicationSlug            *string  `json:"assigned_application_slug"`
	AssignedApplicationName            *string  `json:"assigned_application_name"`
	AssignedBackchannelApplicationSlug *string  `json:"assigned_backchannel_application_slug"`
	AssignedBackchannelApplicationName *string  `json:"assigned_backchannel_application_name"`
	VerboseName                        *string  `json:"verbose_name"`
	VerboseNamePlural                  *string  `json:"verbose_name_plural"`
	MetaModelName                      *string  `json:"meta_model_name"`
	ClientType                         *string  `json:"client_type"`
	ClientID                           *string  `json:"client_id"`
	ClientSecret                       *string  `json:"client_secret"`
	AccessCodeValidity                 *string  `json:"access_code_validity"`
	AccessTokenValidity                *string  `json:"access_token_validity"`
	RefreshTokenValidity               *string  `json:"refresh_token_validity"`
	RefreshTokenThreshold              *string  `json:"refresh_token_threshold"`
	IncludeClaimsInIDToken             *bool    `json:"include_claims_in_id_token"`
	SigningKey                         *string  `json:"signing_key"`
	EncryptionKey                      *string  `json:"encryption_key"`
	RedirectURIs                       []struct {
		MatchingMode *string `json:"matching_mode"`
		URL          *string `json:"url"`
	} `json:"redirect_uris"`
	LogoutURI              *string  `json:"logout_uri"`
	LogoutMethod           *string  `json:"logout_method"`
	SubMode                *string  `json:"sub_mode"`
	IssuerMode             *string  `json:"issuer_mode"`
	JWTFederationSources   []string `json:"jwt_federation_sources"`
	JWTFederationProviders []int32  `json:"jwt_federation_providers"`
}

type user struct {
	PK          int        `json:"pk"`
	Username    *string    `json:"username"`
	Name        *string    `json:"name"`
	IsActive    *bool      `json:"is_active"`
	LastLogin   *time.Time `json:"last_login"`
	DateJoined  *time.Time `json:"date_joined"`
	IsSuperuser *bool      `json:"is_superuser"`
	Groups      []string   `json:"groups"`
	GroupsObj   []struct {
		PK          string         `json:"pk"`
		NumPK       int            `json:"num_pk"`
		Name        *string        `json:"name"`
		IsSuperuser *bool          `json:"is_superuser"`
		Attributes  jsontext.Value `json:"attributes"`
	} `json:"groups_obj"`
	Roles    []string `json:"roles"`
	RolesObj []struct {
		PK   string  `json:"pk"`
		Name *string `json:"name"`
	} `json:"roles_obj"`
	Email              *string        `json:"email"`
	Avatar             *string        `json:"avatar"`
	Attributes         jsontext.Value `json:"attributes"`
	UID                *string        `json:"uid"`
	Path               *string        `json:"path"`
	Type               *string        `json:"type"`
	UUID               *string        `json:"uuid"`
	PasswordChangeDate *time.Time     `json:"password_change_date"`
	LastUpdated        *time.Time     `json:"last_updated"`
}
