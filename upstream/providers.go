package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const providersPath = "/api/v3/providers/oauth2/"

// errNoProvider is the cause of a 404: there is no such provider, or this caller may not view it.
var errNoProvider = errors.New("no such provider")

// Provider asks for one provider on the caller's behalf. Callers who may not view OAuth2 providers at all get
// Forbidden, others NotFound. Its error is always an *Error.
func (c *Client) Provider(ctx context.Context, cred Credential, pk PK) (Answer[*Provider], error) {
	return Fetch(ctx, c, cred, Endpoint[*Provider]{
		Path: providersPath + pk.String() + "/",
		Decode: func(body []byte, _ time.Time) (*Provider, []string, error) {
			return decode("provider", func(d *decoder) (*Provider, error) {
				p, err := d.provider(body)
				if err == nil && p.PK != pk {
					err = errors.New("the answer is another provider")
				}
				return p, err
			})
		},
		Keys:     providerKeys,
		Optional: true,
		NotFound: errNoProvider,
	})
}

// Providers are the first page of all that a caller may view.
type Providers struct {
	Rows []*Provider
	// More reports that there are further pages.
	More bool
}

// Providers asks for the first hundred providers on the caller's behalf. Its error is always an *Error.
func (c *Client) Providers(ctx context.Context, cred Credential) (Answer[Providers], error) {
	return Fetch(ctx, c, cred, Endpoint[Providers]{
		Path: providersPath + "?page_size=100",
		Decode: func(body []byte, _ time.Time) (Providers, []string, error) {
			return decode("provider", func(d *decoder) (Providers, error) { return d.providers(body) })
		},
		Keys:     pageOf(providerKeys),
		Optional: true,
	})
}

func (d *decoder) provider(body []byte) (*Provider, error) {
	var p *Provider
	if err := d.unmarshal(body, &p); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, errors.New("decode: the provider's pk is missing or has an unexpected form")
	}
	return p, nil
}

func (d *decoder) providers(body []byte) (list Providers, err error) {
	var s struct {
		Results    []jsontext.Value `json:"results"`
		Pagination struct {
			Next *int32 `json:"next"` // 0 is none
		} `json:"pagination"`
	}
	if err := d.unmarshal(body, &s); err != nil {
		return list, err
	}
	if s.Results == nil || s.Pagination.Next == nil {
		return list, errors.New("decode: results or pagination.next is missing")
	}
	list.More = *s.Pagination.Next != 0
	for _, row := range s.Results {
		p, err := d.provider(row)
		if err != nil {
			return list, err
		}
		list.Rows = append(list.Rows, p)
	}
	return list, nil
}

// AppendProvider writes a provider for storage, like [AppendGrant].
func AppendProvider(b []byte, p *Provider) []byte {
	text, _ := json.Marshal(p, stored)
	return append(b, text...)
}

// RestoreProvider reads what [AppendProvider] wrote.
func RestoreProvider(text string) (*Provider, error) {
	p := new(Provider)
	if err := unmarshal([]byte(text), p, stored); err != nil {
		return nil, err
	}
	if p.PK < 1 {
		return nil, errBadPK
	}
	return p, nil
}
