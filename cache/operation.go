package cache

// Operation is what Redis is asked to do.
type Operation int

const (
	opRead Operation = iota
	opAcquire
	opRenew
	opCommit
	opDelete
	opRevoke
	opListVersion
	opReadText
	opKeepText
	opCheck
)

// Names of the operations, and what an error says of them.
var operations = [...]struct{ name, action string }{
	opRead:        {"read", "read from Redis"},
	opAcquire:     {"acquire", "take a lease in Redis"},
	opRenew:       {"renew", "renew a lease in Redis"},
	opCommit:      {"commit", "write to Redis"},
	opDelete:      {"delete", "delete from Redis"},
	opRevoke:      {"revoke", "revoke a row in Redis"},
	opListVersion: {"list_version", "read a list version from Redis"},
	opReadText:    {"read_text", "read a text from Redis"},
	opKeepText:    {"keep_text", "keep a text in Redis"},
	opCheck:       {"check", "ask whether Redis can be read"},
}

// Operations lists all, in order from 0.
func Operations() []Operation {
	all := make([]Operation, len(operations))
	for i := range all {
		all[i] = Operation(i)
	}
	return all
}

// String is the operation's name.
func (o Operation) String() string { return operations[o].name }
