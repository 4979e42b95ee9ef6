// Package federation proves that the service is a subgraph that real gateways can read. It holds
// nothing but tests.
//
// The built binary, with its demo inside, is composed with other subgraphs by @apollo/composition
// for every version of federation that it is meant for, and is asked through Apollo Gateway and Hive
// Gateway, with the files of examples/federation as they are. The router of Cosmo is not run: its
// configuration is composed.
//
// The npm packages are those of this folder and of each example; a test whose packages are not
// installed is skipped, and says how to install them, but fails where CI=true.
package federation
