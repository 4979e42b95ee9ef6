package document

import (
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"

	"authentik-graphql/internal/apierror"
)

// Document is a valid document within the limits. It is shared and does not change.
type Document struct {
	Text string
	AST  *ast.QueryDocument

	// Operations has what is known of each operation.
	Operations map[*ast.OperationDefinition]*Operation

	size size
}

// What a document takes beside its text, in bytes, as measured.
const (
	nodeWeight     = 400 // of a node of any kind, on average
	commentWeight  = 128 // the parser keeps comments
	documentWeight = 2048
	// planWeight is what a plan takes for each field of the operation: most for a list of objects, some
	// 70 bytes for a string.
	planWeight = 96
	// maxPlans is how many plans of an operation are kept.
	maxPlans = 4
)

// weight is about how many bytes the document takes once all of its plans are made.
func (d *Document) weight() uint32 {
	plans := min(maxPlans, 1<<min(len(d.size.conditions), maxPlans))
	return uint32(documentWeight + len(d.Text) + d.size.nodes*nodeWeight + strings.Count(d.Text, "#")*commentWeight +
		plans*d.size.expanded*planWeight)
}

// Operation is an operation of a document.
type Operation struct {
	costs []rootCost
	// conditions are the variables in @skip and @include of the whole document.
	conditions []string

	mu    sync.Mutex
	plans map[uint64]any // by the conditions that hold
}

// Check refuses variables with which the operation costs more than is allowed, or that gqlgen would
// panic at: a condition that is null.
func (o *Operation) Check(variables map[string]any, maxComplexity int) *apierror.Error {
	for _, name := range o.conditions {
		if value, given := variables[name]; given && value == nil {
			return apierror.New(apierror.BadUserInput, "A variable in @skip or @include must not be null.")
		}
	}
	if complexity(o.costs, variables, maxComplexity) > maxComplexity {
		return apierror.Over("MAX_COMPLEXITY", maxComplexity, "The operation is more complex")
	}
	return nil
}

// Plan returns what an executor has compiled of the operation for the values of the variables in @skip
// and @include. It calls compile the first time and keeps a few plans; it returns nil for one more.
func (o *Operation) Plan(variables map[string]any, compile func() any) any {
	if len(o.conditions) > 64 {
		return nil
	}
	var holding uint64
	for i, name := range o.conditions {
		if on, _ := variables[name].(bool); on {
			holding |= 1 << i
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	plan, ok := o.plans[holding]
	if !ok && len(o.plans) < maxPlans {
		plan = compile()
		o.plans[holding] = plan
	}
	return plan
}
