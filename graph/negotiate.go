package graph

import (
	"mime"
	"strconv"
	"strings"
)

// The media types of a response. They differ in the status of a request that is not executed: 200 for
// application/json, and 400 for the other.
const (
	typeJSON     = "application/json"
	typeResponse = "application/graphql-response+json"
)

// negotiate picks the media type of the response (RFC 9110, section 12.5.1): the one with the higher
// quality, JSON if both have the same or nothing is said.
func negotiate(accept []string) (contentType string, ok bool) {
	list := strings.Join(accept, ",")
	if strings.TrimSpace(list) == "" {
		return typeJSON, true
	}
	plain, response := quality(list, typeJSON), quality(list, typeResponse)
	switch {
	case response > plain:
		return typeResponse, true
	case plain > 0:
		return typeJSON, true
	}
	return "", false
}

// quality is the quality of a media type in an Accept list, by its most specific range. At the same q, a
// type that is named outranks one that only a wildcard covers.
func quality(list, mediaType string) float64 {
	best, specific := 0.0, -1
	for item := range strings.SplitSeq(list, ",") {
		name, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		rank := -1
		switch name {
		case mediaType:
			rank = 2
		case "application/*":
			rank = 1
		case "*/*":
			rank = 0
		}
		if rank <= specific {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if params["q"] == "" || err != nil {
			q = 1
		}
		best, specific = q, rank
	}
	if best > 0 && specific == 2 {
		best += 1e-6
	}
	return best
}
