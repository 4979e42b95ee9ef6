package callers

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"authentik-graphql/upstream"
)

// Callers are the clients of service mode. A nil *Callers lets each client ask authentik with its own token.
type Callers struct {
	token *watchedFile[upstream.Credential]
	list  *watchedFile[list]
	stop  func(context.Context) error // nil until Watch
}

// Identity says who sent a request and which token goes to authentik for it.
type Identity struct {
	// Credential is zero for a client that may not ask authentik.
	Credential upstream.Credential
	// Name is the client's in the list of callers, empty outside of service mode.
	Name string
	// ReadOnly refuses mutations, whatever Credential would allow.
	ReadOnly bool
}

// Open reads the files that AUTHENTIK_TOKEN_FILE and CALLERS_FILE name, and reports the mistakes of both.
func Open(tokenFile, callersFile string) (*Callers, error) {
	token, tokenErr := openWatched("AUTHENTIK_TOKEN_FILE", tokenFile, parseToken)
	list, listErr := openWatched("CALLERS_FILE", callersFile, parseList)
	if err := errors.Join(tokenErr, listErr); err != nil {
		return nil, err
	}
	return &Callers{token: token, list: list}, nil
}

// Watch rereads both files when they change, until Close.
func (c *Callers) Watch(log *slog.Logger) {
	if c != nil {
		c.stop = watch(log, c.token, c.list)
	}
}

// Close ends Watch.
func (c *Callers) Close(ctx context.Context) error {
	if c == nil || c.stop == nil {
		return nil
	}
	return c.stop(ctx)
}

// Identify returns the identity of the bearer of a token.
func (c *Callers) Identify(given upstream.Credential) Identity {
	if c == nil {
		return Identity{Credential: given}
	}
	if given.IsZero() {
		return Identity{}
	}
	caller, ok := c.list.current().find(given.SHA256())
	if !ok {
		return Identity{}
	}
	return Identity{Credential: c.token.current(), Name: caller.name, ReadOnly: !caller.write}
}

// Token returns the service's own token.
func (c *Callers) Token() upstream.Credential { return c.token.current() }

// Count returns how many callers are listed and how many tokens they have together.
func (c *Callers) Count() (callers, tokens int) {
	list := c.list.current()
	return list.names(), len(list)
}

func parseToken(content []byte) (upstream.Credential, error) {
	cred := upstream.NewCredential(string(bytes.TrimRight(content, "\r\n")))
	if cred.IsZero() {
		return cred, errors.New("does not hold a token and nothing else: 1 to 8192 visible ASCII characters")
	}
	return cred, nil
}
