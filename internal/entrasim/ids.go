package entrasim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"hash/fnv"
	mrand "math/rand/v2"
	"strings"

	"github.com/google/uuid"
)

// source is a stream of pseudo-random values that depends on the seed and a label only, so that one part of the tenant
// does not move when another grows.
type source struct{ *mrand.Rand }

func newIDs(seed uint64, label string) source {
	h := fnv.New64a()
	h.Write([]byte(label))
	return source{mrand.New(mrand.NewPCG(seed, h.Sum64()))}
}

// next returns a version 4 UUID from the stream.
func (s source) next() string {
	var u [16]byte
	a, b := s.Uint64(), s.Uint64()
	for i := range 8 {
		u[i], u[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[:8], u[:4])
	hex.Encode(out[9:13], u[4:6])
	hex.Encode(out[14:18], u[6:8])
	hex.Encode(out[19:23], u[8:10])
	hex.Encode(out[24:], u[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// pick returns one of the words.
func (s source) pick(words []string) string { return words[s.IntN(len(words))] }

// isGUID reports whether v is written as a GUID.
func isGUID(v string) bool {
	return len(v) == 36 && uuid.Validate(v) == nil
}

// opaque returns an unguessable string for codes, refresh tokens and cookies.
func opaque(prefix string) string {
	var b [32]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// sameID compares ids as Entra does: without regard to case.
func sameID(a, b string) bool { return strings.EqualFold(a, b) }
