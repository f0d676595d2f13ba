package audit_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"evict/internal/audit"
)

func signedOf(tb testing.TB, s *audit.Signer, size int64) audit.Checkpoint {
	tb.Helper()
	c, err := s.Sign(testOrigin, size, audit.LeafHash([]byte("x")))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// A checkpoint is checked here byte by byte, as docs/ledger.md has it.
func TestACheckpointIsASignedNote(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "evict-2026")
	c := signedOf(t, s, 1234)
	parts := strings.SplitN(s.Public(), "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || parts[0] != "evict-2026" || len(raw) != 33 || raw[0] != 1 {
		t.Fatalf("verifier key %q", s.Public())
	}
	id := sha256.Sum256(append([]byte("evict-2026\n"), raw...))
	if parts[1] != hex.EncodeToString(id[:4]) || audit.KeyID(s.Public()) != "evict-2026+"+parts[1] {
		t.Errorf("key id %q", audit.KeyID(s.Public()))
	}
	text := fmt.Sprintf("%s\n1234\n%s\n", testOrigin, base64.StdEncoding.EncodeToString(c.Root[:]))
	line, found := strings.CutPrefix(c.Note, text+"\n— evict-2026 ")
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(line, "\n"))
	if !found || err != nil || len(sig) != 68 || string(sig[:4]) != string(id[:4]) {
		t.Fatalf("note %q", c.Note)
	}
	if !ed25519.Verify(raw[1:], []byte(text), sig[4:]) {
		t.Error("the signature is not over the text")
	}
	if err := audit.Verify(c, s.Public()); err != nil {
		t.Error(err)
	}
}

func TestACheckpointThatWasAlteredIsNotVerified(t *testing.T) {
	t.Parallel()
	s, other := newSigner(t, "evict"), newSigner(t, "evict")
	c := signedOf(t, s, 1234)
	if audit.Verify(c, other.Public()) == nil || audit.Verify(c, "x") == nil {
		t.Error("another key verified it")
	}
	for i := range c.Note {
		altered := c
		altered.Note = c.Note[:i] + string(c.Note[i]^1) + c.Note[i+1:]
		if audit.Verify(altered, s.Public()) == nil {
			t.Errorf("byte %d of it may be anything: %q", i, altered.Note)
		}
	}
	size, origin, root := c, c, c
	size.Size++
	origin.Origin += "x"
	root.Root[0] ^= 1
	for _, altered := range []audit.Checkpoint{size, origin, root} {
		if audit.Verify(altered, s.Public()) == nil {
			t.Errorf("fields that were not signed: %+v", altered)
		}
	}
}

func TestOneKeyVouchesForTheNext(t *testing.T) {
	t.Parallel()
	old, next := newSigner(t, "evict"), newSigner(t, "evict")
	word, err := old.SignNext(testOrigin, next.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.VerifyNext(word, testOrigin, old.Public(), next.Public()); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"another ledger":  audit.VerifyNext(word, testOrigin+"x", old.Public(), next.Public()),
		"another old key": audit.VerifyNext(word, testOrigin, next.Public(), next.Public()),
		"another new key": audit.VerifyNext(word, testOrigin, old.Public(), old.Public()),
		"a checkpoint":    audit.VerifyNext(signedOf(t, old, 1).Note, testOrigin, old.Public(), next.Public()),
		"nothing":         audit.VerifyNext("", testOrigin, old.Public(), next.Public()),
	} {
		if err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestASecretKeyNeverShowsItself(t *testing.T) {
	t.Parallel()
	secret, public, err := audit.GenerateKey("evict")
	if err != nil {
		t.Fatal(err)
	}
	s, err := audit.NewSigner(secret + "\n")
	if err != nil || s.Public() != public {
		t.Fatalf("%v, %q, want %q", err, s.Public(), public)
	}
	seed := strings.SplitN(secret, "+", 5)[4] // base64, which may have a "+" of its own
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v", s), fmt.Sprintf("%+v", s)} {
		if strings.Contains(shown, seed) {
			t.Errorf("the key shows: %s", shown)
		}
	}
	for _, bad := range []string{"", "x", public, secret[:len(secret)-1], "PRIVATE+KEY+evict+00000000+" + seed} {
		if _, err := audit.NewSigner(bad); err == nil || strings.Contains(err.Error(), seed) {
			t.Errorf("%d characters: %v", len(bad), err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb"} {
		if _, _, err := audit.GenerateKey(name); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}

func TestAFileOfCheckpointsIsReadToWhereItWasCutOff(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "evict")
	all := []audit.Checkpoint{signedOf(t, s, 1), signedOf(t, s, 20), signedOf(t, s, 300)}
	one, two, three := all[0].Note, all[1].Note, all[2].Note
	for name, text := range map[string]string{
		"together": one + two + three, "apart": "\n" + one + "\n\n" + two + "\n" + three + "\n \n", "from Windows": strings.ReplaceAll(one+two+three, "\n", "\r\n"),
	} {
		got, err := audit.ParseCheckpoints(text)
		if err != nil || len(got) != 3 || got[0] != all[0] || got[1] != all[1] || got[2] != all[2] {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
	whole := one + two + three
	for cut := len(one + two); cut < len(whole); cut++ {
		got, err := audit.ParseCheckpoints(whole[:cut])
		if (err == nil) != (cut == len(one+two)) || len(got) != 2 {
			t.Errorf("cut at %d: %v, %d", cut, err, len(got))
		}
	}
	if got, err := audit.ParseCheckpoints(""); err != nil || len(got) != 0 {
		t.Errorf("an empty file: %v, %v", err, got)
	}
}

func FuzzParseCheckpoints(f *testing.F) {
	s := newSigner(f, "evict")
	f.Add(signedOf(f, s, 1).Note + signedOf(f, s, 20).Note)
	f.Add("evict/public/x\n-1\nAAAA\n\n— evict AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, _ := audit.ParseCheckpoints(text)
		for _, c := range all {
			if c.Size < 0 || !strings.HasSuffix(c.Note, "\n") {
				t.Errorf("%+v", c)
			}
			if again, err := audit.ParseCheckpoint(c.Note); err != nil || again != c {
				t.Errorf("%v: %+v, then %+v", err, c, again)
			}
			if audit.Verify(c, s.Public()) == nil && c.Origin != testOrigin {
				t.Errorf("verified: %q", c.Note)
			}
		}
	})
}
