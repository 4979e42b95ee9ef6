// Package document finds the document of a request: a text, a persisted query or a trusted document. A
// document is parsed, measured and validated once; it is within the limits before validation, which
// takes quadratic time, looks at it. Valid documents are kept up to a number of bytes.
//
// The package knows the schema and GraphQL, but neither HTTP nor how an operation is executed.
package document
