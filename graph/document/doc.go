// Package document knows what a GraphQL document may cost.
package document
