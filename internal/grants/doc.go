// Package grants drops the redacted fields from grants before a cache or a resolver sees them.
package grants
