// Package cachetest holds what tests of and with the cache share: a fake clock, the suite that
// every store must pass, and a real Redis server.
package cachetest
