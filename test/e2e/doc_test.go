// Package e2e tests the whole program, which it runs in its own process: through its listeners with
// startApp, or without them and with a fake clock with openDirect. Authentik is fake, Redis and browsers are
// real.
//
// Tests of the built binary in its own process are in test/attacks, test/faults and test/interop, those of
// the documentation in docs.
package e2e
