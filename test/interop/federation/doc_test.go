// Package federation proves that the service is a subgraph that real gateways can read. Its schema is
// composed with other subgraphs by @apollo/composition, for every version of federation that it supports,
// and the built binary is asked through Apollo Gateway and Hive Gateway with the files of
// examples/federation. Cosmo's router is not run: only its configuration is composed.
//
// The npm packages are those of this folder and of each example.
package federation
