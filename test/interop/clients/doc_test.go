// Package clients proves that GraphQL clients from npm work with the built binary. It holds nothing
// but tests: nothing of it is in the binary.
//
// Each *.test.mjs runs under node's own test runner against a service of its own, started with
// -demo. The examples of docs/clients.md run too, as they stand there. The versions are those of package.json
// and package-lock.json.
package clients
