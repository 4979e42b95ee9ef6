package graph

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/graph/generated"
)

// Trusted are the documents that the operator of the service has chosen, by their ids, which are
// opaque.
type Trusted struct {
	byID map[string]*document
}

// Len is how many there are.
func (t Trusted) Len() int { return len(t.byID) }

const (
	manifestFormat  = "apollo-persisted-query-manifest"
	manifestVersion = 1
)

// ReadTrusted reads a file of trusted documents in either of two forms: Apollo's persisted query
// manifest, or an object of texts by id, as GraphQL Code Generator and relay-compiler write it.
// Each document must be valid and within the limits; the error names the id of one that is not.
func ReadTrusted(content []byte, limits Limits) (Trusted, error) {
	texts, err := trustedTexts(content)
	if err != nil {
		return Trusted{}, err
	}
	if len(texts) == 0 {
		return Trusted{}, errors.New("holds no document")
	}
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	d := &documents{schema: schema, limits: limits, weights: newWeights(schema), suggest: true}
	t := Trusted{byID: make(map[string]*document, len(texts))}
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		p, errs := d.parse(texts[id])
		if errs == nil {
			t.byID[id], errs = d.validate(p)
		}
		if errs != nil {
			return Trusted{}, fmt.Errorf("holds a document with the id %q that cannot be run: %s", id, errs[0].Message)
		}
	}
	return t, nil
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

// asksForSDL tells whether a document does nothing but ask for the subgraph's schema, as gateways
// do.
func asksForSDL(tree *ast.QueryDocument) bool {
	if len(tree.Fragments) > 0 {
		return false
	}
	for _, op := range tree.Operations {
		for _, selection := range op.SelectionSet {
			if f, ok := selection.(*ast.Field); !ok || f.Name != "_service" && f.Name != "__typename" {
				return false
			}
		}
	}
	return true
}
