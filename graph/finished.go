package graph

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/answers"
	"authentik-graphql/cache"
)

// question is the text of what decides an operation's answer beside the caller: the document, the
// operation in it, the variables and the media type. It is nil if the answer is not to be kept.
func (t transport) question(p *params, f found, contentType string) []byte {
	op := f.operation(p.OperationName)
	if t.answers == nil || f.document == nil || op == nil || op.Operation != ast.Query {
		return nil
	}
	variables := p.rawVariables.Clone()
	// Whitespace and the order of names do not matter; numbers keep their digits.
	if err := variables.Format(jsontext.ReorderRawObjects(true), jsontext.SpaceAfterColon(false), jsontext.SpaceAfterComma(false)); len(variables) > 0 && err != nil {
		return nil
	}
	text := make([]byte, 0, len(f.document.hash)+len(contentType)+len(op.Name)+len(variables)+32)
	text = answers.AppendPart(text, "operation") // where a request as it was sent has its method
	text = append(text, f.document.hash[:]...)
	text = answers.AppendPart(text, contentType)
	text = answers.AppendPart(text, op.Name)
	return answers.AppendPart(text, variables)
}

// finish makes a finished answer of a whole one, unless a read for it failed, or gave something stale
// or nothing: such an answer is not given twice. Nor is it made of what was loaded for it, which
// may never be asked for again: many answers that nobody wants would drive out those that are in use.
func (r *Request) finish(contentType string, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	marks := make([]cache.Mark, 0, len(r.reads))
	for _, read := range r.reads {
		if !read.shown || read.freshness.Stale != cache.NotStale || read.freshness.Source == cache.Loaded {
			return
		}
		marks = append(marks, read.freshness.Mark())
	}
	least := leastFresh(r.reads)
	if least == nil {
		return
	}
	r.finished = &answers.Answer{
		Fields: []answers.Field{
			{Name: "Content-Type", Lines: withCharset(contentType)},
			{Name: "Content-Length", Lines: []string{strconv.Itoa(len(body))}},
			{Name: "Vary", Lines: varyLines},
		},
		Body: bytes.Clone(body),
		Freshness: cache.Result[struct{}]{
			Entry:      cache.Entry[struct{}]{FetchedAt: least.freshness.FetchedAt},
			FreshUntil: least.freshness.FreshUntil,
			Source:     cache.FirstLevel,
		},
		Marks:         marks,
		OperationType: r.facts.OperationType,
		OperationName: r.facts.OperationName,
	}
}

// Replayed is the finished answer that the request was given, nil if its answer was made for it.
func (r *Request) Replayed() *answers.Answer {
	if !r.replayed {
		return nil
	}
	return r.finished
}

// WriteFinished answers a request with a finished answer. What is made anew each time is what tells
// its age.
func WriteFinished(w http.ResponseWriter, r *Request, a *answers.Answer, now time.Time) {
	h := w.Header()
	for _, f := range a.Fields {
		if f.Name == "Vary" && len(h["Vary"]) > 0 {
			h["Vary"] = append(h["Vary"], f.Lines...)
			continue
		}
		h[f.Name] = f.Lines
	}
	stated := state(a, now)
	h["Age"], h["Cache-Control"], h["Cache-Status"] = stated.Lines[0:1:1], stated.Lines[1:2:2], stated.Lines[2:3:3]
	r.mu.Lock()
	r.facts.OperationType, r.facts.OperationName, r.facts.CacheStatus = a.OperationType, a.OperationName, stated.Status
	r.finished, r.replayed = a, true
	r.mu.Unlock()
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(a.Body)
}

// state says how old a finished answer is.
func state(a *answers.Answer, now time.Time) *answers.Statement {
	age, left := ageOf(a.Freshness, now), remaining(a.Freshness, now)
	if last := a.Stated.Load(); last != nil && last.Age == age && last.Left == left {
		return last
	}
	h := http.Header{}
	status := stateAge(h, a.Freshness, now)
	stated := &answers.Statement{
		Age: age, Left: left, Status: status,
		Lines: [3]string{h["Age"][0], maxAge(a.Freshness, now), h["Cache-Status"][0]},
	}
	a.Stated.Store(stated)
	return stated
}
