// Package attacks sends the built binary what attackers send: to bring the service down or, through it,
// authentik. Each row goes over raw connections and has an expected response and bounds on time, on memory
// and on the calls that reach authentik. After each row the service must still answer.
//
// go test sends each attack once; make attacks sends many at a time and prints the table.
package attacks
