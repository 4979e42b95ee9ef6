// Package docs tests that the README and the pages are true: their commands run, their examples get the
// answers that they show, their links lead somewhere, and their tables have what the service has.
package docs
