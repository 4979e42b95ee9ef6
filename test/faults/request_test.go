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

// request is a GraphQL request and what a right response to it is.
type request struct {
	kind      string // for the report
	token     string
	document  string
	variables map[string]any
	transport transport
	status    int // of the response; 0 means 200
	// want is the code of an error that is as right as data, "" if there is none.
	want string
	// extraTime is how much longer than others the response may take.
	extraTime time.Duration
	// giveUpAfter is when the client closes the connection, 0 if it waits for the response.
	giveUpAfter time.Duration
	// check checks a response that is either an error with a code or data, whose only field it gets.
	check func(field json.RawMessage, r response, got result) error
}

// transport is how a request is sent.
type transport string

const (
	viaPOST        transport = "POST"
	viaGET         transport = "GET"
	viaPOSTGzip    transport = "POST, gzip"
	viaHash        transport = "GET, hash" // an automatic persisted query
	viaHashAndText transport = "GET, hash and text"
)

// compressedSize is from how many bytes on the service compresses a response.
const compressedSize = 4 << 10

func (r request) httpRequest(ctx context.Context, to string) (*http.Request, error) {
	params := map[string]any{"query": r.document, "variables": r.variables}
	if r.transport == viaHash {
		delete(params, "query")
	}
	if r.transport == viaHash || r.transport == viaHashAndText {
		hash := sha256.Sum256([]byte(r.document))
		params["extensions"] = map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hex.EncodeToString(hash[:])}}
	}
	build := postRequest
	if r.transport != viaPOST && r.transport != viaPOSTGzip {
		build = getRequest
	}
	req, err := build(ctx, to, params)
	if err != nil {
		return nil, err
	}
	if r.transport == viaPOSTGzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	req.Header.Set("Content-Type", "application/json")
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
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

// content returns the body of a response, decompressed.
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
