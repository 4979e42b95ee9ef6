package graph

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"authentik-graphql/graph/model"
	"authentik-graphql/internal/apierror"
	"authentik-graphql/internal/grants"
	"authentik-graphql/upstream"
)

// From 2025.12.5 and 2026.2.3 on a grant's provider is partial: authentik gives the settings of OAuth2 at the
// provider's own endpoint alone. An operation therefore reads its root fields, then the providers of which fields are
// selected that a partial one lacks, and only then is its response written.

const providerType = "OAuth2Provider"

// providerSelection is a field in whose value are providers of which an operation selects fields that a partial one
// lacks.
type providerSelection struct {
	field  *ast.Field
	member string // of the Go struct
	of     string // the type that has the field
	// below are the fields of the objects in the value.
	below []providerSelection
	// lacked are the selected fields of a provider that a partial one lacks, in the order of the response.
	lacked []*ast.Field
}

// providerFields compiles what is selected of providers below a field. ok is false if that is nothing.
func (c *compiler) providerFields(s selected, of *ast.Definition) (_ providerSelection, ok bool) {
	at := providerSelection{field: s.Field, member: strings.ToUpper(s.Name[:1]) + s.Name[1:], of: of.Name}
	field := of.Fields.ForName(s.Name)
	if field == nil { // __typename
		return at, false
	}
	for _, def := range c.schema.PossibleTypes[field.Type.Name()] {
		var fields []selected
		for _, set := range s.sets {
			fields = c.collect(fields, def, set)
		}
		if def.Name == providerType {
			ok = c.noteLacked(&at, fields) || of == c.schema.Query
			continue
		}
		for _, f := range fields {
			if child, found := c.providerFields(f, def); found {
				at.below, ok = append(at.below, child), true
			}
		}
	}
	return at, ok
}

// noteLacked notes those of a provider's selected fields that a partial one lacks and that are not redacted.
func (c *compiler) noteLacked(at *providerSelection, fields []selected) bool {
	for _, f := range fields {
		if upstream.LackedByPartial(f.Name) && !c.resolver.redacts(providerType+"."+f.Name) {
			at.lacked = append(at.lacked, f.Field)
		}
	}
	return len(at.lacked) > 0
}

// root is a root field of an operation, and what its resolver returned.
type root struct {
	selected
	value reflect.Value
}

// place is where a field stands in a response and in its document. Places are numbered in the order of the response.
type place struct {
	number int
	path   ast.Path
	field  *ast.Field
}

// wanted is a provider that an operation needs.
type wanted struct {
	pk    upstream.PK
	shown []*model.OAuth2Provider
	// own are the fields and entities that are the provider itself, and lacked is the first selected field that a
	// partial one lacks: the places of the errors if it cannot be read.
	own    []place
	lacked *place
}

// completion reads the providers that an operation lacks.
type completion struct {
	resolver *Resolver
	ctx      context.Context //nolint:containedctx // lives as long as the call
	wanted   []*wanted       // in the order of the response
	byPK     map[int32]*wanted
	places   int
	errs     []placedError
}

type placedError struct {
	place
	err error
}

// complete completes the providers in the values of root fields, in place, and returns the errors of those that
// could not be read, in the order of the response. For a mutation it does not ask authentik.
func (p planner) complete(ctx context.Context, variables map[string]any, of *ast.Definition, roots []root) []*gqlerror.Error {
	req := FromContext(ctx)
	if !req.lacksProviders() {
		return nil
	}
	if ctx.Err() != nil {
		req.stop(tooLate)
	}
	if req.stopped() != notStopped {
		return nil
	}
	compiler := &compiler{planner: p, variables: variables}
	c := &completion{resolver: p.resolver, ctx: ctx, byPK: map[int32]*wanted{}}
	for _, root := range roots {
		if s, ok := compiler.providerFields(root.selected, of); ok && root.value.IsValid() {
			c.find(ast.Path{ast.PathName(s.field.Alias)}, root.value, &s)
		}
	}
	if len(c.wanted) == 0 {
		return nil
	}
	if of == p.schema.Mutation {
		c.showCached()
		return nil
	}
	c.read()
	return c.errors()
}

// find looks for the providers in the value of a field, in the order of the response.
func (c *completion) find(path ast.Path, v reflect.Value, s *providerSelection) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if p, ok := v.Interface().(*model.OAuth2Provider); ok {
			c.want(path, p, s)
		} else if !v.IsNil() {
			c.find(path, v.Elem(), s)
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.find(append(path, ast.PathIndex(i)), v.Index(i), s)
		}
	case reflect.Struct:
		for i := range s.below {
			if below := &s.below[i]; below.of == v.Type().Name() {
				c.find(append(path, ast.PathName(below.field.Alias)), v.FieldByName(below.member), below)
			}
		}
	}
}

// want notes a provider that is missing. One with a primary key below 1 is an example, and there is none to read.
func (c *completion) want(path ast.Path, p *model.OAuth2Provider, s *providerSelection) {
	if p == nil || p.Pk < 1 || !p.Unread && (!p.Partial || len(s.lacked) == 0) {
		return
	}
	w := c.byPK[p.Pk]
	if w == nil {
		w = &wanted{pk: upstream.PK(p.Pk)}
		c.byPK[p.Pk], c.wanted = w, append(c.wanted, w)
	}
	w.shown = append(w.shown, p)
	c.places++
	if p.Unread {
		w.own = append(w.own, place{c.places, slices.Clone(path), s.field})
	} else if w.lacked == nil {
		field := s.lacked[0]
		w.lacked = &place{c.places, append(slices.Clone(path), ast.PathName(field.Alias)), field}
	}
}

// read reads the wanted providers, as many as one operation may.
func (c *completion) read() {
	within, cancel := c.reserveTime()
	defer cancel()
	allowed := min(len(c.wanted), c.resolver.upstreamCalls)
	pks := make([]upstream.PK, allowed)
	for i := range pks {
		pks[i] = c.wanted[i].pk
	}
	req := FromContext(c.ctx)
	reads := c.resolver.Grants.Providers(within, req.Caller, pks)
	req.noteProviders(reads)
	audiences := req.audiences()
	for i, read := range reads {
		c.show(c.wanted[i], read, audiences)
	}
	over := apierror.Over("OPERATION_UPSTREAM_CALLS", c.resolver.upstreamCalls, "The operation asks for more providers")
	reported := false
	for _, w := range c.wanted[allowed:] {
		c.failOwn(w, over)
		if w.lacked != nil && !reported { // one error is for all
			c.fail(*w.lacked, over)
			reported = true
		}
	}
}

// show completes a provider wherever the response shows it. What is not read stays null.
func (c *completion) show(w *wanted, read grants.ProviderRead, audiences map[upstream.PK]*string) {
	switch {
	case read.Err != nil:
		c.failOwn(w, read.Err)
		if w.lacked != nil {
			c.fail(*w.lacked, read.Err)
		}
	case read.Refusal != nil:
		c.failOwn(w, providerError(read.Refusal))
		showAudience(w, audiences)
	default:
		full := mapProvider(read.Value) // once: an operation may show it a thousand times
		for _, p := range w.shown {
			showProvider(p, full)
		}
	}
}

// settings are the fields of the model that a partial provider lacks.
var settings = func() (indexes []int) {
	for f := range reflect.TypeFor[model.OAuth2Provider]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); upstream.LackedByPartial(name) {
			indexes = append(indexes, f.Index[0])
		}
	}
	return indexes
}()

// showProvider completes a provider. It shares what it points to with full, as nothing changes it.
func showProvider(p, full *model.OAuth2Provider) {
	if p.Unread {
		*p = *full
		return
	}
	to, from := reflect.ValueOf(p).Elem(), reflect.ValueOf(full).Elem()
	for _, i := range settings {
		to.Field(i).Set(from.Field(i))
	}
}

// showCached completes the wanted providers as far as they are cached.
func (c *completion) showCached() {
	req := FromContext(c.ctx)
	audiences := req.audiences()
	for _, w := range c.wanted {
		if read, ok := c.resolver.Grants.CachedProvider(c.ctx, req.Caller, w.pk); ok && read.Refusal == nil {
			c.show(w, read, audiences)
		} else {
			showAudience(w, audiences)
		}
	}
}

// showAudience shows what tokens say of a provider of which authentik says nothing to the caller.
func showAudience(w *wanted, audiences map[upstream.PK]*string) {
	for _, p := range w.shown {
		p.ClientID = audiences[w.pk]
	}
}

func (c *completion) failOwn(w *wanted, err error) {
	for _, at := range w.own {
		c.fail(at, err)
	}
}

// fail adds an error, if there is memory for it.
func (c *completion) fail(at place, err error) {
	if c.resolver.budget.spend(c.ctx, FromContext(c.ctx), errorBytes) {
		c.errs = append(c.errs, placedError{at, err})
	}
}

// errors returns the errors in the order of the response.
func (c *completion) errors() []*gqlerror.Error {
	slices.SortFunc(c.errs, func(a, b placedError) int { return a.number - b.number })
	all := make([]*gqlerror.Error, len(c.errs))
	for i, e := range c.errs {
		all[i] = &gqlerror.Error{
			Err: e.err, Message: e.err.Error(), Path: e.path,
			Locations: []gqlerror.Location{{Line: e.field.Position.Line, Column: e.field.Position.Column}},
		}
	}
	return all
}

// reserveTime leaves some of the operation's time for writing the response: what was read until then stands, even if
// authentik does not answer for a provider.
func (c *completion) reserveTime() (context.Context, context.CancelFunc) {
	deadline, ok := c.ctx.Deadline()
	if !ok {
		return context.WithCancel(c.ctx)
	}
	return context.WithDeadline(c.ctx, deadline.Add(-time.Until(deadline)/10))
}

// providerError is what a client sees of a provider that authentik refused.
func providerError(refusal *upstream.Error) error {
	if refusal.Kind == upstream.NotFound {
		return &apierror.Error{Code: apierror.NotFound, Message: "No such provider for you: it may not exist, or you may not view it.", Err: refusal}
	}
	return refusal
}

// unreadProvider resolves a field or an entity that is a provider: it is read with all others of the operation.
func unreadProvider(ctx context.Context, id string) (*model.OAuth2Provider, error) {
	pk, err := parseID("id", id)
	if err != nil {
		return nil, err
	}
	if FromContext(ctx).Credential.IsZero() {
		return nil, &upstream.Error{Kind: upstream.Unauthenticated}
	}
	FromContext(ctx).unread.Store(true)
	return &model.OAuth2Provider{ID: id, Pk: int32(pk), Unread: true}, nil
}

// withoutUnread is a root field's value without the providers that could not be read.
func withoutUnread(value any) any {
	switch v := value.(type) {
	case *model.OAuth2Provider:
		if v != nil && v.Unread {
			return (*model.OAuth2Provider)(nil)
		}
	case []model.Entity:
		for i, entity := range v {
			if p, ok := entity.(*model.OAuth2Provider); ok && p.Unread {
				v[i] = nil
			}
		}
	}
	return value
}
