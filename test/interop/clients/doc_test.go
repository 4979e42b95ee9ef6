// Package clients proves that GraphQL clients from npm work with the built binary. Each *.test.mjs runs
// under node's own test runner against a service of its own, started with -demo. The examples of
// docs/clients.md run as the page has them, with the versions of package.json and package-lock.json.
package clients
