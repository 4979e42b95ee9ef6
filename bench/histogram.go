package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets of which 32 make a doubling, so that a quantile is right
// to about 3 %. Its zero value is empty.
type histogram [64 * 32]uint32

func (h *histogram) add(d time.Duration) {
	ns := uint64(max(d, 32))
	shift := bits.Len64(ns) - 6
	h[shift*32+int(ns>>shift)]++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// quantile is the upper end of the bucket that holds the q-th part of all durations.
func (h *histogram) quantile(q float64) time.Duration {
	var total uint64
	for _, n := range h {
		total += uint64(n)
	}
	wanted := uint64(q * float64(total))
	for i, n := range h {
		if wanted < uint64(n) {
			shift := max(0, i/32-1)
			return time.Duration(uint64(i-shift*32+1) << shift)
		}
		wanted -= uint64(n)
	}
	return 0
}
