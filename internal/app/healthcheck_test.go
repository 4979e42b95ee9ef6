package app

import (
	"testing"
)

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:http": "127.0.0.1:http", "[::]:8080": "127.0.0.1:8080",
		"10.0.0.1:8080": "10.0.0.1:8080", "[fe80::1%eth0]:8080": "[fe80::1%eth0]:8080", "localhost:8080": "localhost:8080",
	} {
		if got := reachable(addr); got != want {
			t.Errorf("%s is reached at %s, want %s", addr, got, want)
		}
	}
}
