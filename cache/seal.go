package cache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// formatVersion is the first byte of every sealed value. A change to the envelope or to the
// encoding of values raises it: older values are then misses.
const formatVersion = 2

// errUntrusted says that bytes from Redis are not a value that we sealed under this name.
var errUntrusted = errors.New("cache: the value cannot be trusted")

// appendSealed encrypts plain for one caller, and appends that to b. The name and the format are
// authenticated with it, so a value moved to another name does not open.
func (k *Keys) appendSealed(b []byte, caller Caller, name string, plain []byte) ([]byte, error) {
	aead, err := k.aead(caller)
	if err != nil {
		return b, err
	}
	return aead.Seal(append(b, formatVersion), nil, plain, associated(name)), nil
}

// appendOpened appends to b, which has nothing yet, what was sealed; anything else is errUntrusted.
func (k *Keys) appendOpened(b []byte, caller Caller, name, sealed string) ([]byte, error) {
	if len(sealed) < 1 || sealed[0] != formatVersion {
		return nil, errUntrusted
	}
	aead, err := k.aead(caller)
	if err != nil {
		return nil, err
	}
	b = append(b, sealed[1:]...) // in which it is opened as well
	plain, err := aead.Open(b[:0], nil, b, associated(name))
	if err != nil {
		return nil, errUntrusted
	}
	return plain, nil
}

// aead is AES-256-GCM with random nonces under the caller's own key. 2^32 values may be sealed
// under one key before a nonce could repeat (NIST SP 800-38D, section 8.3): at a value a second
// that is 136 years a caller.
func (k *Keys) aead(caller Caller) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, k.seal, string(caller[:]), SecretSize)
	if err != nil {
		return nil, fmt.Errorf("cache: derive seal: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cache: seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("cache: seal: %w", err)
	}
	return aead, nil
}

func associated(name string) []byte { return append([]byte(name), formatVersion) }
