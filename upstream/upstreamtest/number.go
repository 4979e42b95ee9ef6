package upstreamtest

import (
	"strings"
	"unicode"
)

// maxDigits is Python's limit for a number in text; longer ones do not parse.
const maxDigits = 4300

// tooLarge stands for every larger number: it parses, but no row has it. It is
// far beyond 32 bits and small enough that ten times it does not overflow.
const tooLarge = int64(1) << 40

// parseInt reads a number as Python's int does: surrounding blanks, a sign,
// single underscores between digits and the digits of every script are fine.
// So "01", "+1", "0_1" and "١" all name row 1.
func parseInt(s string) (n int64, ok bool) {
	s = strings.TrimSpace(s)
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	digits, afterDigit := 0, false
	for _, r := range s {
		if r == '_' && afterDigit {
			afterDigit = false
			continue
		}
		d, isDigit := digitValue(r)
		if !isDigit {
			return 0, false
		}
		n = min(n*10+d, tooLarge)
		digits, afterDigit = digits+1, true
	}
	if !afterDigit || digits > maxDigits {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// digitValue returns the value of a decimal digit of any script. Unicode keeps
// those in runs of ten that start with the zero.
func digitValue(r rune) (int64, bool) {
	if '0' <= r && r <= '9' {
		return int64(r - '0'), true
	}
	for _, run := range unicode.Nd.R16 {
		if rune(run.Lo) <= r && r <= rune(run.Hi) {
			return int64(r-rune(run.Lo)) % 10, true
		}
	}
	for _, run := range unicode.Nd.R32 {
		if rune(run.Lo) <= r && r <= rune(run.Hi) {
			return int64(r-rune(run.Lo)) % 10, true
		}
	}
	return 0, false
}
