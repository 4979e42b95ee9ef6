package faults

import "time"

// codeNotFound is what another's code is answered with.
const codeNotFound = "NOT_FOUND"

// fault is a row of the table: something that breaks, and is mended.
type fault struct {
	name  string
	begin func(*scene)
	end   func(*scene) // nil if it mends itself
	// codes are the errors that may be answered while it is broken, none if every answer must be
	// data.
	codes []string
	// worst is the longest that an answer may take.
	worst time.Duration
	// proxied puts a proxy between the service and Redis.
	proxied bool
	// logged tells that the service must say something about Redis.
	logged bool
	// fatal ends the service itself: what it had not answered is lost.
	fatal bool
}

// faults are the rows in the order of the table.
func faults() []fault { return redisFaults() }

// redisFaults cost nobody an answer. The bound of time is far above the 300 ms that a lost Redis
// costs a read, so that a busy machine does not fail the test, and below what a wait without any
// bound would take.
func redisFaults() []fault {
	rows := []fault{
		{
			name:   "Redis is killed and started again, empty",
			begin:  func(s *scene) { s.redis.Kill() },
			end:    func(s *scene) { s.redis.Restart() },
			logged: true,
		},
		{
			name:  "Redis is restarted, empty",
			begin: func(s *scene) { s.redis.Restart() },
		},
		{
			name:   "Redis halts and goes on",
			begin:  func(s *scene) { s.redis.Stop() },
			end:    func(s *scene) { s.redis.Cont() },
			logged: true,
		},
		{
			name:    "Redis takes 200 ms longer for a command",
			begin:   func(s *scene) { s.proxy.slow(200 * time.Millisecond) },
			end:     func(s *scene) { s.proxy.slow(0) },
			proxied: true,
			logged:  true,
		},
		{
			name:   "Redis is full",
			begin:  func(s *scene) { s.admin(redisPassword, "CONFIG", "SET", "maxmemory", "1") },
			end:    func(s *scene) { s.admin(redisPassword, "CONFIG", "SET", "maxmemory", "0") },
			logged: true,
		},
		{
			name:   "Redis has another password",
			begin:  func(s *scene) { s.changePassword(redisPassword, otherPassword) },
			end:    func(s *scene) { s.changePassword(otherPassword, redisPassword) },
			logged: true,
		},
		{
			name:   "Redis is read-only: a replica without its primary",
			begin:  func(s *scene) { s.admin(redisPassword, "REPLICAOF", "127.0.0.1", "1") },
			end:    func(s *scene) { s.admin(redisPassword, "REPLICAOF", "NO", "ONE") },
			logged: true,
		},
	}
	for i := range rows {
		rows[i].worst = 2 * time.Second
	}
	return rows
}
