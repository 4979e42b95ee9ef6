package main

import (
	"context"
	"errors"

	"authentik-graphql/cache"
	"authentik-graphql/graph"
	"authentik-graphql/upstream"
)

// codesResource names authorization codes in cache keys.
const codesResource = "authorization_codes"

// codeSource reads codes through the cache from authentik: the one place where the two meet. What
// is redacted is dropped in the load, so that no cache ever holds it, and the set of redacted
// fields is part of every key.
type codeSource struct {
	cache     *cache.Cache[*upstream.Code]
	client    *upstream.Client
	gate      *gate
	callerKey []byte
	redaction graph.Redaction
	variant   string
	// ownToken: the credential is this service's, not the caller's.
	ownToken bool
}

var _ graph.CodeSource = (*codeSource)(nil)

func newCodeSource(c *cache.Cache[*upstream.Code], client *upstream.Client, gate *gate, keys *cache.Keys, redaction graph.Redaction) *codeSource {
	return &codeSource{cache: c, client: client, gate: gate, callerKey: keys.CallerKey(), redaction: redaction, variant: redaction.String()}
}

// AuthorizationCode implements [graph.CodeSource].
func (s *codeSource) AuthorizationCode(ctx context.Context, cred upstream.Credential, pk upstream.PK) (graph.CodeRead, error) {
	digest := cred.Digest(s.callerKey)
	key, err := cache.NewKey(digest, codesResource, int32(pk), s.variant)
	if err != nil {
		return graph.CodeRead{}, err
	}
	read, err := s.cache.Get(ctx, key, func(ctx context.Context) (cache.Entry[*upstream.Code], error) {
		var answer upstream.Answer[*upstream.Code]
		err := s.gate.pass(ctx, digest, func() (err error) {
			answer, err = s.client.Retrieve(ctx, cred, pk)
			return err
		})
		if err != nil {
			return cache.Entry[*upstream.Code]{}, err
		}
		graph.FromContext(ctx).NoteUpstream(200, answer.AuthentikID)
		code := answer.Value
		entry := cache.Entry[*upstream.Code]{
			Value:     code,
			FetchedAt: answer.FetchedAt,
			EndsAt:    code.EndsAt,
			// authentik says that the code lives, and its time says that it does not: only asking
			// authentik tells.
			FreshOnly: code.Expires != nil && code.EndsAt.IsZero() && !code.Expired,
		}
		s.redaction.Apply(code)
		return entry, nil
	})
	if errors.Is(err, cache.ErrBuried) {
		err = &upstream.Error{Kind: upstream.NotFound, Err: err}
	}
	if s.ownToken {
		err = ownTokenError(err)
	}
	return read, err
}

// judge tells the cache what authentik's errors mean.
func judge(err error) cache.Verdict {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return cache.Failed
	}
	switch e.Kind {
	case upstream.NotFound, upstream.Forbidden:
		return cache.Denied
	case upstream.Unauthenticated:
		return cache.Rejected
	case upstream.Failed, upstream.Unavailable, upstream.Timeout:
		return cache.Outage
	}
	return cache.Failed
}

// codeCodec keeps codes, and authentik's errors for them, in Redis. An error that authentik did not
// make stays in the process: another may well get through.
var codeCodec = cache.Codec[*upstream.Code]{
	Encode: upstream.EncodeCode,
	Decode: upstream.RestoreCode,
	EncodeError: func(err error) []byte {
		e, ok := errors.AsType[*upstream.Error](err)
		if !ok || e.NotSent() {
			return nil
		}
		return upstream.EncodeError(e)
	},
	DecodeError: func(b []byte) (origin, err error) {
		e, err := upstream.RestoreError(b)
		if err != nil {
			return nil, err
		}
		return e, nil
	},
}
