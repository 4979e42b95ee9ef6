package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Version asks for authentik's own version, such as 2026.8.5, as authentik writes it. Every release tells it to
// whoever it knows, so that no permission is needed. Its error is always an *Error.
func (c *Client) Version(ctx context.Context, cred Credential) (Answer[string], error) {
	return Fetch(ctx, c, cred, Endpoint[string]{
		Path: "/api/v3/admin/version/",
		Decode: func(body []byte, _ time.Time) (string, []string, error) {
			var v struct {
				Current string `json:"version_current"`
			}
			if err := json.Unmarshal(body, &v); err != nil {
				return "", nil, fmt.Errorf("decode version: %w", err)
			}
			if v.Current == "" {
				return "", nil, errors.New("the answer has no version")
			}
			return v.Current, nil, nil
		},
	})
}
