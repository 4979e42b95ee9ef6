// Package paging reads a part of a list that starts after a given row, from an API that only has numbered
// pages. It guarantees that no row which exists throughout the reading is left out, and that none comes
// twice, although rows come and go between two calls. It knows neither HTTP nor what a row is.
package paging
