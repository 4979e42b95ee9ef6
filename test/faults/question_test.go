//go:build linux

package faults

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"
)

// question is one request, and what is right to answer.
type question struct {
	kind      string // for the report
	token     string
	document  string
	variables map[string]any
	way       way
	// status is what the answer must have, 200 if 0.
	status int
	// want is the code of an error that is a good answer, "" if only data is.
	want string
	// longer is how much longer than the others the answer may take.
	longer time.Duration
	// patience is after what time the client leaves, 0 if it waits for its answer.
	patience time.Duration
	// check says what is wrong with an answer that is either data, of which it gets the only field,
	// or an error with a code.
	check func(field json.RawMessage, a answer, r reading) error
}

// way is how a question is sent.
type way string

const (
	byPOST        way = "POST"
	byGET         way = "GET"
	zipped        way = "POST, gzip"
	byHash        way = "GET, hash" // of an automatic persisted query
	byHashAndText way = "GET, hash and text"
)

// compressedFrom is the size from which the service compresses answers.
const compressedFrom = 4 << 10

func (q question) request(ctx context.Context, to string) (*http.Request, error) {
	params := map[string]any{"query": q.document, "variables": q.variables}
	if q.way == byHash {
		delete(params, "query")
	}
	if q.way == byHash || q.way == byHashAndText {
		hash := sha256.Sum256([]byte(q.document))
		params["extensions"] = map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hex.EncodeToString(hash[:])}}
	}
	build := postRequest
	if q.way != byPOST && q.way != zipped {
		build = getRequest
	}
	req, err := build(ctx, to, params)
	if err != nil {
		return nil, err
	}
	if q.way == zipped {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	req.Header.Set("Content-Type", "application/json")
	if q.token != "" {
		req.Header.Set("Authorization", "Bearer "+q.token)
	}
	return req, nil
}

func postRequest(ctx context.Context, to string, params map[string]any) (*http.Request, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	return http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
}

func getRequest(ctx context.Context, to string, params map[string]any) (*http.Request, error) {
	query := url.Values{}
	for name, value := range params {
		text, isText := value.(string)
		if !isText {
			b, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		query.Set(name, text)
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, to+"?"+query.Encode(), nil)
}

// content is the body of a response as it was before it was compressed.
func content(resp *http.Response) ([]byte, error) {
	body := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unzipped
	}
	return io.ReadAll(body)
}
