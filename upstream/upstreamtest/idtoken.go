package upstreamtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// claims are those recorded for a token made with the scopes email and profile,
// in the order of the recording.
type claims struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      string   `json:"aud"`
	Expires       int64    `json:"exp"`
	Issued        int64    `json:"iat"`
	AuthTime      int64    `json:"auth_time"`
	ACR           string   `json:"acr"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Name          string   `json:"name"`
	GivenName     string   `json:"given_name"`
	Username      string   `json:"preferred_username"`
	Nickname      string   `json:"nickname"`
	Groups        []string `json:"groups"`
}

// idToken writes claims as authentik shows them: JSON inside a string, indented
// by four blanks.
func idToken(owner *user, p *provider, issued, expires time.Time) string {
	if expires.IsZero() {
		expires = issued.Add(AccessTokens.validity())
	}
	given, _, _ := strings.Cut(owner.name, " ")
	text, err := json.MarshalIndent(claims{
		Issuer:        fmt.Sprintf("https://id.example.com/application/o/%s/", p.clientID),
		Subject:       owner.uid,
		Audience:      p.clientID,
		Expires:       expires.Unix(),
		Issued:        issued.Unix(),
		AuthTime:      issued.Unix(),
		ACR:           "goauthentik.io/providers/oauth2/default",
		Email:         owner.email,
		EmailVerified: true,
		Name:          owner.name,
		GivenName:     given,
		Username:      owner.username,
		Nickname:      owner.username,
		Groups:        each(owner.groups, func(g group) string { return g.name }),
	}, "", "    ")
	if err != nil {
		panic(fmt.Sprintf("upstreamtest: encode claims: %v", err))
	}
	return string(text)
}
