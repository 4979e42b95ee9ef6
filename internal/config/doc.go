// Package config reads the settings of the service from its environment. The tags of [Config] are the one
// source of names, defaults and meanings: parsing, -help, errors and docs/settings.md follow them.
//
// A Config that Load returns without an error is valid by itself and never changes. What its values name,
// files and addresses, is opened elsewhere; only the files of secrets are read here. No error and no printed
// Config holds a secret.
package config
