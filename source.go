package main

import (
	"context"

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
	callerKey []byte
	redaction graph.Redaction
	variant   string
}

var _ graph.CodeSource = (*codeSource)(nil)

func newCodeSource(c *cache.Cache[*upstream.Code], client *upstream.Client, keys *cache.Keys, redaction graph.Redaction) *codeSource {
	return &codeSource{cache: c, client: client, callerKey: keys.CallerKey(), redaction: redaction, variant: redaction.String()}
}

// AuthorizationCode implements [graph.CodeSource].
func (s *codeSource) AuthorizationCode(ctx context.Context, cred upstream.Credential, pk upstream.PK) (graph.CodeRead, error) {
	key, err := cache.NewKey(cred.Digest(s.callerKey), codesResource, int32(pk), s.variant)
	if err != nil {
		return graph.CodeRead{}, err
	}
	return s.cache.Get(ctx, key, func(ctx context.Context) (cache.Entry[*upstream.Code], error) {
		answer, err := s.client.Retrieve(ctx, cred, pk)
		if err != nil {
			return cache.Entry[*upstream.Code]{}, err
		}
		graph.FromContext(ctx).NoteUpstream(200, answer.AuthentikID)
		s.redaction.Apply(answer.Value)
		return cache.Entry[*upstream.Code]{
			Value:     answer.Value,
			FetchedAt: answer.FetchedAt,
			EndsAt:    answer.Value.EndsAt,
		}, nil
	})
}

// codeCodec keeps codes in Redis.
var codeCodec = cache.Codec[*upstream.Code]{Encode: upstream.EncodeCode, Decode: upstream.RestoreCode}
