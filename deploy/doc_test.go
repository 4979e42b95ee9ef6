// Package deploy holds what it takes to run the service elsewhere: an image, and files for Compose,
// Kubernetes and systemd. README.md says how to use each. The tests build and run what they can, and
// check the rest with the types and rules of those who read it, in a module of its own: the service's
// has nothing to do with theirs.
package deploy
