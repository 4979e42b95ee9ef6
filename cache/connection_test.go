package cache

import (
	"errors"
	"fmt"
	"testing"
)

// redisError is an error reply of Redis.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestRefuses(t *testing.T) {
	const within = "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4a48c1b5): @user_script:15: @user_script: 15: "
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"full", redisError("OOM command not allowed when used memory > 'maxmemory'."), true},
		{"a replica", redisError("READONLY You can't write against a read only replica."), true},
		{"full, before release 7", redisError(within + "-OOM command not allowed when used memory > 'maxmemory'."), true},
		{"a replica, before release 7", redisError(within + "-READONLY You can't write against a read only replica."), true},
		{"wrapped", fmt.Errorf("cache: redis acquire: %w", redisError(within+"-OOM command not allowed")), true},
		{"a script that fails", redisError(within + "attempt to index a nil value"), false},
		{"another error", redisError("NOSCRIPT No matching script."), false},
		{"not from Redis", errors.New(within + "-OOM command not allowed"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := refuses(tt.err); got != tt.want {
				t.Errorf("%v: %t, want %t", tt.err, got, tt.want)
			}
		})
	}
}
