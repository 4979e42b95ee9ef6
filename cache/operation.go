package cache

// Operation is something that Redis is asked to do.
type Operation string

const (
	opRead        Operation = "read"
	opAcquire     Operation = "acquire"
	opRenew       Operation = "renew"
	opCommit      Operation = "commit"
	opDelete      Operation = "delete"
	opRevoke      Operation = "revoke"
	opListVersion Operation = "list_version"
	opReadText    Operation = "read_text"
	opKeepText    Operation = "keep_text"
	opCheck       Operation = "check"
)

// Operations lists all operations.
func Operations() []Operation {
	return []Operation{opRead, opAcquire, opRenew, opCommit, opDelete, opRevoke, opListVersion, opReadText, opKeepText, opCheck}
}
