// Package grants has what a read of authentik's grants through the cache gives, and drops the redacted fields
// from grants before a cache or a resolver sees them.
package grants
