package document

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
)

// Trusted are the documents that the operator of the service has chosen, by their ids, which are
// opaque.
type Trusted map[string]*Document

const (
	manifestFormat  = "apollo-persisted-query-manifest"
	manifestVersion = 1
)

// ReadTrusted reads a file of trusted documents in either of two forms: Apollo's persisted query
// manifest, or an object of texts by id, as GraphQL Code Generator and relay-compiler write it. Each
// document must be valid and within the limits; the error names the id of one that is not.
func ReadTrusted(content []byte, schema *ast.Schema, limits Limits) (Trusted, error) {
	texts, err := trustedTexts(content)
	if err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, errors.New("holds no document")
	}
	p := newParser(schema, limits, true)
	trusted := make(Trusted, len(texts))
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		parsed, errs := p.parse(texts[id])
		if errs == nil {
			trusted[id], errs = p.validate(parsed)
		}
		if errs != nil {
			return nil, fmt.Errorf("holds a document with the id %q that cannot be run: %s", id, errs[0].Message)
		}
	}
	return trusted, nil
}

func trustedTexts(content []byte) (map[string]string, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(content, &members); err != nil {
		return nil, fmt.Errorf("is not a JSON object: %w", err)
	}
	if _, ok := members["format"]; ok && members["operations"] != nil {
		return manifestTexts(content)
	}
	texts := make(map[string]string, len(members))
	for id, value := range members {
		var text string
		if err := json.Unmarshal(value, &text); err != nil || id == "" {
			return nil, errors.New(`must be {"<id>": "<document>"} or a manifest of the format ` + manifestFormat)
		}
		texts[id] = text
	}
	return texts, nil
}

func manifestTexts(content []byte) (map[string]string, error) {
	var manifest struct {
		Format     string `json:"format"`
		Version    int    `json:"version"`
		Operations []struct {
			ID   string `json:"id"`
			Body string `json:"body"`
		} `json:"operations"`
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		return nil, fmt.Errorf("is not a manifest of the format %s: %w", manifestFormat, err)
	}
	if manifest.Format != manifestFormat || manifest.Version != manifestVersion {
		return nil, fmt.Errorf("is a manifest of another format or version than %s, %d", manifestFormat, manifestVersion)
	}
	texts := make(map[string]string, len(manifest.Operations))
	for _, op := range manifest.Operations {
		if _, twice := texts[op.ID]; twice || op.ID == "" {
			return nil, fmt.Errorf("has an operation without an id, or the id %q twice", op.ID)
		}
		texts[op.ID] = op.Body
	}
	return texts, nil
}
