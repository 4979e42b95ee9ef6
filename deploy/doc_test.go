// Package deploy tests the files that run the service: the image, and those of Compose, Kubernetes and
// systemd. The tests build and run what they can, and check the rest with the types and rules of the
// programs that read it. It is a module of its own, so that the service does not depend on those.
package deploy
