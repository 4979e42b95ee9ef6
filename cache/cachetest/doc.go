// Package cachetest holds what tests of and with the cache share: a fake clock, the suite that
// every store must pass, and real Redis servers, alone, as a cluster and under sentinels.
package cachetest
