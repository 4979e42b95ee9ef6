package upstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"authentik-graphql/upstream"
)

// TestNoSecretIsPrinted prints every type that holds a secret or personal data, in every way a stray log line
// might, bare and inside of other values.
func TestNoSecretIsPrinted(t *testing.T) {
	const token, secret, email = "token-TELLTALE", "client-secret-TELLTALE", "mail-TELLTALE@example.com"
	code, _ := decode(t, `{"pk":7,"provider":{"pk":1,"name":"TELLTALE","client_secret":"`+secret+`","redirect_uris":[{"url":"TELLTALE"}]},
		"user":{"pk":2,"username":"TELLTALE","email":"`+email+`","attributes":{"a":"TELLTALE"},"groups":["`+aUUID+`"],
		"groups_obj":[{"pk":"`+aUUID+`","name":"TELLTALE","attributes":{"a":"TELLTALE"}}],"roles_obj":[{"pk":"`+aUUID+`","name":"TELLTALE"}]}}`)
	cred := upstream.NewCredential(token)
	wrapped := &upstream.Error{Kind: upstream.Unavailable, Err: &url.Error{Op: "Get", URL: "http://authentik/", Err: errors.New("refused")}}

	values := map[string]any{}
	addTo(values, "credential", cred)
	addTo(values, "secret", *code.Provider.ClientSecret)
	addTo(values, "code", *code)
	addTo(values, "provider", *code.Provider)
	addTo(values, "user", *code.User)
	addTo(values, "group", code.User.Groups[0])
	addTo(values, "role", code.User.Roles[0])
	addTo(values, "redirect URI", code.Provider.RedirectURIs[0])
	addTo(values, "providers", upstream.Providers{Rows: []*upstream.Provider{code.Provider}})
	addTo(values, "answer", upstream.Answer[*upstream.Grant]{Value: code})
	addTo(values, "error", *wrapped)
	values["error itself"] = wrapped
	// fmt does not call Format for unexported fields, so these rely on pointers.
	values["unexported credential"] = struct{ c upstream.Credential }{cred}
	values["unexported credentials"] = struct{ c []upstream.Credential }{[]upstream.Credential{cred}}
	values["unexported code"] = struct{ c *upstream.Grant }{code}
	values["unexported answer"] = struct {
		a upstream.Answer[*upstream.Grant]
	}{upstream.Answer[*upstream.Grant]{Value: code}}

	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			for how, text := range printed(v) {
				if strings.Contains(text, "TELLTALE") || strings.Contains(text, fmt.Sprint([]byte("TELLTALE"))) ||
					strings.Contains(text, fmt.Sprintf("%x", "TELLTALE")) {
					t.Errorf("%s: %s", how, text)
				}
			}
		})
	}
}

// addTo adds a value bare, as a pointer, and inside of a struct, a slice, a map and an any.
func addTo[T any](values map[string]any, name string, v T) {
	type holder struct {
		V T
		P *T
		A any
	}
	values[name] = v
	values["pointer to "+name] = &v
	values["struct of "+name] = holder{v, &v, v}
	values["pointer to struct of "+name] = &holder{v, &v, &v}
	values["slice of "+name] = []T{v}
	values["slice of pointers to "+name] = []*T{&v}
	values["map of "+name] = map[string]T{"v": v}
	values["map of any "+name] = map[string]any{"v": v}
}

// printed is v in every way it might reach a log.
func printed(v any) map[string]string {
	texts := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts[verb] = fmt.Sprintf(verb, v)
	}
	texts["error"] = fmt.Errorf("about %v", v).Error()
	b, err := json.Marshal(v)
	texts["json"] = string(b) + fmt.Sprint(err)
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&js, nil)).Info("m", "v", v, slog.Group("g", "v", v))
	texts["slog text"], texts["slog json"] = text.String(), js.String()
	return texts
}

// TestLabels checks what is shown instead.
func TestLabels(t *testing.T) {
	code, _ := decode(t, minimal)
	s := upstream.Secret("s")
	for _, tc := range []struct {
		v    any
		want string
	}{
		{code, "grant 7"},
		{*code, "grant 7"},
		{code.Provider, "provider 1"},
		{code.User, "user 2"},
		{upstream.Group{}, "group"},
		{upstream.Role{}, "role"},
		{upstream.RedirectURI{}, "redirect URI"},
		{s, "[redacted]"},
		{&s, "[redacted]"},
		{upstream.NewCredential("abc"), "[redacted]"},
		{upstream.Credential{}, "[redacted]"},
	} {
		js, err := json.Marshal(tc.v)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(tc.v); got != tc.want || string(js) != `"`+tc.want+`"` {
			t.Errorf("got %s and %s, want %s", got, js, tc.want)
		}
	}
	if got := fmt.Sprintf("%v %v", (*upstream.Grant)(nil), (*upstream.Secret)(nil)); got != "<nil> <nil>" {
		t.Errorf("nil pointers print as %s", got)
	}
}
