package graph

import (
	"context"
	"testing"
	"time"

	"authentik-graphql/graph/model"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// TestKindThatIsNoGrant resolves a type of its own by a kind: a request reads each object once, and the
// response states its freshness.
func TestKindThatIsNoGrant(t *testing.T) {
	reads := 0
	providers := kind[*upstream.Provider, model.OAuth2Provider]{
		resource: upstream.Resource("providers"),
		read: func(_ GrantSource, _ context.Context, _ grants.Caller, _ upstream.Resource, pk upstream.PK) (grants.Read[*upstream.Provider], error) {
			reads++
			return grants.Read[*upstream.Provider]{
				Value:     &upstream.Provider{PK: pk},
				Freshness: grants.Freshness{FetchedAt: drawnNow, FreshUntil: drawnNow.Add(time.Minute)},
			}, nil
		},
		show: func(p *upstream.Provider, _, _ time.Time) *model.OAuth2Provider { return mapProvider(p) },
	}
	r := &Resolver{Now: func() time.Time { return drawnNow }, upstreamCalls: 2}
	req := &Request{Caller: grants.Caller{Credential: upstream.NewCredential("t")}}
	ctx := NewContext(t.Context(), req)
	for range 2 {
		for _, id := range []string{"7", "8"} {
			if got, err := one(ctx, r, providers, id); err != nil || got.ID != id {
				t.Errorf("%v, %v", got, err)
			}
		}
	}
	if _, err := one(ctx, r, providers, "9"); err == nil {
		t.Error("a third object is over the limit")
	}
	if reads != 2 {
		t.Errorf("%d reads", reads)
	}
	if got, ok := req.freshness(); !ok || !got.FetchedAt.Equal(drawnNow) {
		t.Errorf("the freshness is %v", got)
	}
}
