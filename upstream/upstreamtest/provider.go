package upstreamtest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The permissions that concern providers, for [Options.Permissions].
const (
	// ViewProvider lets its holder read providers.
	ViewProvider = "view_oauth2provider"
	// ChangeProvider lets its holder read the client secret where the release
	// keeps it from others who may read the provider. It does not let them read it.
	ChangeProvider = "change_oauth2provider"
)

// Provider is an OAuth2 provider that is added to those of the world. What has no
// field here is as authentik sets it by default.
type Provider struct {
	// PK is the id; 0 asks AddProvider for the next free one.
	PK int32
	// Name is "Provider" and the PK if empty.
	Name string
	// Application is the name of the application, null if empty.
	Application string
	// ClientType is "confidential" if empty.
	ClientType string
	// ClientID and ClientSecret are "client-" and "secret-" with the PK if empty.
	ClientID, ClientSecret string
	// RedirectURIs are matched strictly.
	RedirectURIs []string
}

type provider struct {
	pk                 int32
	name               string
	authenticationFlow any // string or nil, like all flows and keys below
	authorizationFlow  any
	invalidationFlow   any
	propertyMappings   []string
	slug, application  any
	clientType         string
	grantTypes         []string
	clientID           string
	clientSecret       string
	signingKey         any
	redirects          []redirect
	logoutURI          string
	federated          []int
}

// redirect is a redirect URI. Its kind is "authorization" if empty; releases before
// 2026.5 have no other and no kind at all.
type redirect struct{ mode, url, kind string }

// AddProvider adds a provider, or replaces one with the same PK, and returns its PK.
func (a *Authentik) AddProvider(p Provider) int32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.PK == 0 {
		p.PK = a.nextProvider
	}
	a.nextProvider = max(a.nextProvider, p.PK+1)
	made := &provider{
		pk:           p.PK,
		name:         cmp.Or(p.Name, fmt.Sprintf("Provider %d", p.PK)),
		clientType:   cmp.Or(p.ClientType, "confidential"),
		grantTypes:   grantTypes(),
		clientID:     cmp.Or(p.ClientID, fmt.Sprintf("client-%d", p.PK)),
		clientSecret: cmp.Or(p.ClientSecret, fmt.Sprintf("secret-%d", p.PK)),
	}
	if p.Application != "" {
		made.application = p.Application
		made.slug = strings.ReplaceAll(strings.ToLower(p.Application), " ", "-")
	}
	for _, url := range p.RedirectURIs {
		made.redirects = append(made.redirects, redirect{mode: "strict", url: url})
	}
	a.providers[p.PK] = made
	return p.PK
}

// removeProvider removes a provider and its grants, as authentik does; the lock
// must be held.
func (a *Authentik) removeProvider(pk int32) {
	delete(a.providers, pk)
	for _, t := range a.tables {
		maps.DeleteFunc(t.rows, func(_ int32, r row) bool { return r.Provider == pk })
	}
}

// provider returns the provider with that id, nil if there is none.
func (a *Authentik) provider(pk int64) *provider {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pk < 1 || pk > 1<<31-1 {
		return nil
	}
	return a.providers[int32(pk)]
}

// oneProvider answers for one provider.
func (a *Authentik) oneProvider(r *http.Request, t target, caller *user) reply {
	allow := Providers.allowObject()
	if refusal, refused := a.refuseProviders(r, allow, "Instance", caller); refused {
		return refusal
	}
	if !t.numeric {
		return a.detail(http.StatusNotFound, allow, textNotFound)
	}
	p := a.provider(t.id)
	if p == nil || !caller.holds(ViewProvider, p.pk) {
		return a.detail(http.StatusNotFound, allow, a.options.Release.notFound(Providers))
	}
	return a.json(http.StatusOK, allow, a.format(r).readProvider(p, caller))
}

// providerList answers for the list of providers.
func (a *Authentik) providerList(r *http.Request, caller *user) reply {
	allow := Providers.allowList()
	if refusal, refused := a.refuseProviders(r, allow, "List", caller); refused {
		return refusal
	}
	q := r.URL.Query()
	clientID, name, search := last(q, "client_id"), last(q, "name"), strings.ToLower(last(q, "search"))
	a.mu.Lock()
	all := slices.Collect(maps.Values(a.providers))
	a.mu.Unlock()
	all = slices.DeleteFunc(all, func(p *provider) bool {
		return !caller.holds(ViewProvider, p.pk) ||
			clientID != "" && p.clientID != clientID ||
			name != "" && p.name != name ||
			!strings.Contains(strings.ToLower(p.name), search)
	})
	known := map[string]func(x, y *provider) int{
		"pk":        func(x, y *provider) int { return cmp.Compare(x.pk, y.pk) },
		"name":      func(x, y *provider) int { return cmp.Compare(x.name, y.name) },
		"client_id": func(x, y *provider) int { return cmp.Compare(x.clientID, y.clientID) },
	}
	slices.SortFunc(all, known["pk"])
	sort(all, known, last(q, "ordering"), "name")
	p, ok := paginate(a.options, q, len(all))
	if !ok {
		return a.detail(http.StatusNotFound, allow, textInvalidPage)
	}
	format := a.format(r)
	return a.page(allow, p, each(all[p.first:p.end], func(p *provider) object { return format.readProvider(p, caller) }))
}

// refuseProviders answers a request that reads no provider. Unlike grants,
// providers are refused to anonymous callers with the words for a user without
// the permission.
func (a *Authentik) refuseProviders(r *http.Request, allow, view string, caller *user) (reply, bool) {
	switch {
	case caller == nil || !caller.holdsAny(ViewProvider):
		return a.detail(http.StatusForbidden, allow, textForbidden), true
	case r.Method == http.MethodOptions:
		return a.metadata(allow, Providers, view), true
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return a.notAllowed(r.Method, allow), true
	default:
		return reply{}, false
	}
}

// grantTypes are those of a provider that was there before authentik asked for
// them, in the recorded order.
func grantTypes() []string {
	return []string{
		"authorization_code", "implicit", "hybrid", "refresh_token", "client_credentials", "password",
		"urn:ietf:params:oauth:grant-type:device_code",
	}
}

// providers are those of the world.
func providers() []provider {
	const authorizationFlow = "bf54bcd6-8559-4c0e-a5d2-e8f2d9afe281"
	return []provider{
		{
			pk: ProviderGrafana, name: "Grafana",
			authenticationFlow: "4d9fbfbd-120c-426b-83d8-4fbf6a9c87ae",
			authorizationFlow:  authorizationFlow,
			invalidationFlow:   "d8f32731-e052-4a36-a13a-196ecd2948f1",
			propertyMappings: []string{
				"a76dd404-e4f0-4110-8eb8-3b59c8007384",
				"2fa47e9e-1ebb-44d4-8b68-8c50eaac2bfc",
				"75af60a4-8c7c-42f9-bcd6-b955500c25a0",
			},
			slug: "grafana", application: "Grafana", clientType: "confidential",
			grantTypes: grantTypes(), clientID: "grafana-client-id", clientSecret: "grafana-client-secret-0123456789",
			signingKey: "d9687bcd-1866-4337-898f-53b20b301af0",
			redirects: []redirect{
				{mode: "strict", url: "https://grafana.example.com/login/generic_oauth"},
				{mode: "strict", url: "https://grafana.example.com/alt"},
				{mode: "regex", url: `https://.*\.preview\.example\.com/cb`},
				{mode: "strict", url: "https://grafana.example.com/logged-out", kind: "logout"},
			},
			logoutURI: "https://grafana.example.com/logout", federated: []int{2},
		},
		{
			pk: ProviderMobile, name: "Mobile", authorizationFlow: authorizationFlow,
			invalidationFlow: "d8f32731-e052-4a36-a13a-196ecd2948f1",
			slug:             "mobile", application: "Mobile", clientType: "public", grantTypes: []string{"authorization_code", "refresh_token"},
			clientID: "mobile-client-id", clientSecret: "mobile-client-secret-0123456789",
			redirects: []redirect{{mode: "regex", url: ".*"}},
		},
		{
			pk: ProviderOrphan, name: "Orphan", clientType: "confidential",
			clientID: "orphan-client-id", clientSecret: "orphan-client-secret-0123456789",
		},
	}
}
