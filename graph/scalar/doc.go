// Package scalar has the custom scalars of the schema in the form that gqlgen requires, and appends them
// to a response. It stands apart from package graph because the generated code imports it, and package
// graph imports the generated code.
package scalar
