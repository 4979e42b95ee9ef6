// Package app is the whole program: [Run] reads flags and settings, opens what they name, wires the packages
// together, serves until its context ends, and closes everything again. Main calls nothing else, and tests start
// the program the same way.
//
// It is the one package that knows all others. No other package reads settings or the environment.
package app
