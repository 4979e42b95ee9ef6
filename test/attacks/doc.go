// Package attacks holds the table of attacks: what people send to bring the service down or, through
// it, authentik. Each row goes over raw connections to the built binary and has an answer that is
// expected, and bounds on its time, on the memory that the service takes for it, and on the calls that
// reach authentik. After each the service must still answer at once.
//
// go test sends each attack once; make attacks sends many at a time and prints the table.
package attacks
