package auth

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
)

// ErrSealed says that sealed bytes do not open: they were altered or moved, or their key is gone.
var ErrSealed = errors.New("sealed data does not open")

// SealKeys are the server's keys for what is kept at rest: the first seals, all open. To rotate, put a new key first
// and keep the old one until nothing sealed under it is left (8 hours). It never prints a key.
type SealKeys struct {
	first string
	keys  map[string][]byte
}

const (
	sealVersion    = 1
	sealKeySize    = 32
	maxKeyFileSize = 64 << 10
)

var sealKeyName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// LoadSealKeys reads a file of keys; see ParseSealKeys.
func LoadSealKeys(path string) (*SealKeys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the file of seal keys: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the file of seal keys: %w", err)
	}
	return ParseSealKeys(b)
}

// ParseSealKeys reads keys, one a line: a name, a space, and 32 bytes in base64. Empty lines and lines that begin with
// # are skipped. At least one key is needed. Errors name the line and never hold what stands on it.
func ParseSealKeys(b []byte) (*SealKeys, error) {
	if len(b) > maxKeyFileSize {
		return nil, errors.New("the file of seal keys is too long")
	}
	k := &SealKeys{keys: map[string][]byte{}}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := k.add(line); err != nil {
			return nil, fmt.Errorf("seal keys, line %d: %w", n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("reading seal keys: %w", err)
	}
	if k.first == "" {
		return nil, errors.New("there is no seal key")
	}
	return k, nil
}

func (k *SealKeys) add(line string) error {
	f := strings.Fields(line)
	if len(f) != 2 {
		return errors.New("a line is a name and a key, with a space between them")
	}
	if !sealKeyName.MatchString(f[0]) {
		return errors.New("a name is 1 to 32 of a-z, 0-9 and -")
	}
	if k.keys[f[0]] != nil {
		return errors.New("the name stands twice")
	}
	key, err := base64.StdEncoding.DecodeString(f[1])
	if err != nil || len(key) != sealKeySize {
		return errors.New("a key is 32 bytes in base64")
	}
	if bytes.Equal(key, make([]byte, sealKeySize)) {
		return errors.New("a key of zeros is no key")
	}
	if k.first == "" {
		k.first = f[0]
	}
	k.keys[f[0]] = key
	return nil
}

// GenerateSealKey returns a line for the file of keys, with a new random key.
func GenerateSealKey(name string) (string, error) {
	if !sealKeyName.MatchString(name) {
		return "", errors.New("a name is 1 to 32 of a-z, 0-9 and -")
	}
	key := make([]byte, sealKeySize)
	rand.Read(key)
	return name + " " + base64.StdEncoding.EncodeToString(key), nil
}

// String hides the keys.
func (*SealKeys) String() string { return "[seal keys]" }

// GoString hides the keys from %#v.
func (*SealKeys) GoString() string { return "[seal keys]" }

// LogValue hides the keys from slog.
func (*SealKeys) LogValue() slog.Value { return slog.StringValue("[seal keys]") }

// Seal encrypts plain under the first key with AES-256-GCM. Purpose and bind must be the same when it is opened; they
// are not part of the result.
func (k *SealKeys) Seal(purpose string, plain []byte, bind ...string) ([]byte, error) {
	return k.seal(nil, purpose, plain, bind)
}

// Open reverses Seal, with whichever key sealed. It returns ErrSealed for anything that was altered, moved, sealed for
// another purpose, or sealed under a key that is not there any more.
func (k *SealKeys) Open(purpose string, sealed []byte, bind ...string) ([]byte, error) {
	return k.open(nil, purpose, sealed, bind)
}

// seal is Seal under a key that is derived from the seal key and, when there is one, a second key. The nonce always
// comes from the system, never from an injected source: repeating one would give everything away.
func (k *SealKeys) seal(second []byte, purpose string, plain []byte, bind []string) ([]byte, error) {
	head := append([]byte{sealVersion, byte(len(k.first))}, k.first...) //nolint:gosec // a name has at most 32 bytes
	aead, err := derive(k.keys[k.first], second, purpose)
	if err != nil {
		return nil, err
	}
	return aead.Seal(head, nil, plain, //nolint:gosec // this AEAD makes its own random nonce
		associated(head, purpose, bind)), nil
}

func (k *SealKeys) open(second []byte, purpose string, sealed []byte, bind []string) ([]byte, error) {
	if len(sealed) < 2 || sealed[0] != sealVersion || len(sealed) < 2+int(sealed[1]) {
		return nil, ErrSealed
	}
	end := 2 + int(sealed[1])
	head, rest := sealed[:end], sealed[end:]
	key := k.keys[string(head[2:])]
	if key == nil {
		return nil, fmt.Errorf("%w: its seal key is not among the configured ones", ErrSealed)
	}
	aead, err := derive(key, second, purpose)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, rest, associated(head, purpose, bind))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

func derive(key, second []byte, purpose string) (cipher.AEAD, error) {
	sub, err := hkdf.Key(sha256.New, key, second, "evict seal v1 "+purpose, sealKeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, fmt.Errorf("preparing a key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// associated writes each part behind its length, so that no two lists of parts have the same bytes.
func associated(head []byte, purpose string, bind []string) []byte {
	out := bytes.Clone(head)
	for _, p := range append([]string{purpose}, bind...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p))) //nolint:gosec // parts are short
		out = append(out, p...)
	}
	return out
}
