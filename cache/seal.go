package cache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
)

// formatVersion begins every sealed value and is part of its name. Raise it when the envelope changes, or the
// meaning of what values are encoded as: what an older process stored is then a miss. A further field needs no
// other version.
const formatVersion = 4

const format = string(rune(formatVersion))

// errUntrusted is returned for bytes from Redis that no process with the secret sealed under their name.
var errUntrusted = errors.New("cache: the value cannot be trusted")

// sealKey is the key that the callers' own keys are derived from.
type sealKey []byte

// seal encrypts a value for one caller. Name and format are authenticated as well: a value that was moved to
// another name does not open.
func (k sealKey) seal(caller Caller, name string, plain []byte) []byte {
	return k.aead(caller).Seal([]byte{formatVersion}, nil, plain, []byte(name+format))
}

// open reverses seal.
func (k sealKey) open(caller Caller, name, sealed string) ([]byte, error) {
	if len(sealed) < 1 || sealed[0] != formatVersion {
		return nil, errUntrusted
	}
	plain, err := k.aead(caller).Open(nil, nil, []byte(sealed[1:]), []byte(name+format))
	if err != nil {
		return nil, errUntrusted
	}
	return plain, nil
}

// aead returns AES-256-GCM with random nonces under the caller's own key. One key may seal 2^32 values before
// a nonce could repeat (NIST SP 800-38D, section 8.3): at a value a second that is 136 years.
func (k sealKey) aead(caller Caller) cipher.AEAD {
	// None of these fails with keys of this size.
	key, _ := hkdf.Expand(sha256.New, k, string(caller[:]), SecretSize)
	block, _ := aes.NewCipher(key)
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	return aead
}
