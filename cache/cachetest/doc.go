// Package cachetest helps tests of and with the cache: a fake clock, a fake shared store, the suites that
// every store must pass, and real Redis servers, standalone, as a cluster and with sentinels.
package cachetest
