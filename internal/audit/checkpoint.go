package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is a signed tree head: a note (golang.org/x/mod/sumdb/note) whose text has three lines, the origin, the
// size in decimal, and the root hash in base64, as in c2sp.org/tlog-checkpoint; signed with Ed25519.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
	Note   string // the whole of it, signature and all, ending in a line break
}

// Origin names the ledger of one tenant: "evict/public/<tenant id>".
func Origin(cloud, tenant string) string { return "evict/" + cloud + "/" + tenant }

// sigPrefix begins the signature line of a note; a checkpoint of ours has one, and ends with it.
const sigPrefix = "— "

// ParseCheckpoint reads a checkpoint without verifying its signature.
func ParseCheckpoint(text string) (Checkpoint, error) {
	body, sigs, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(body, "\n")
	if !ok || len(lines) < 3 || !strings.HasPrefix(sigs, sigPrefix) {
		return Checkpoint{}, errors.New("this is not a checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return Checkpoint{}, fmt.Errorf("a checkpoint's size is %q", lines[1])
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(Hash{}) {
		return Checkpoint{}, fmt.Errorf("a checkpoint's root is %q", lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: Hash(root), Note: text}, nil
}

// ParseCheckpoints reads a file of checkpoints, one after the other, as the append-only file beside the database holds
// them; blank lines between them do not matter. A last one that was cut off is an error beside those that are whole.
func ParseCheckpoints(text string) ([]Checkpoint, error) {
	var out []Checkpoint
	rest := strings.ReplaceAll(text, "\r\n", "\n")
	for {
		rest = strings.TrimLeft(rest, "\n")
		if strings.TrimSpace(rest) == "" {
			return out, nil
		}
		i := strings.Index(rest, "\n\n"+sigPrefix)
		if i < 0 {
			return out, errors.New("the last checkpoint is cut off")
		}
		end := strings.IndexByte(rest[i+2:], '\n')
		if end < 0 {
			return out, errors.New("the last checkpoint is cut off")
		}
		c, err := ParseCheckpoint(rest[:i+2+end+1])
		if err != nil {
			return out, err
		}
		out, rest = append(out, c), rest[i+2+end+1:]
	}
}

// Signer signs checkpoints, and the change of one key to the next.
type Signer struct {
	signer note.Signer
	public string
}

// GenerateKey makes a key pair: the secret signer key, and the verifier key that auditors keep. The name stands on
// every signature; it is not empty and has neither spaces nor plus signs.
func GenerateKey(name string) (secret, public string, err error) {
	if name == "" || strings.ContainsAny(name, " \t\r\n+") {
		return "", "", fmt.Errorf("the name of a key is not empty and has neither spaces nor plus signs: %q", name)
	}
	return note.GenerateKey(rand.Reader, name)
}

// NewSigner opens a secret signer key. An error does not show it.
func NewSigner(secret string) (*Signer, error) {
	secret = strings.TrimSpace(secret)
	s, err := note.NewSigner(secret)
	if err != nil {
		return nil, errors.New("this is not a ledger key: evict audit keygen -o FILE makes one")
	}
	public, err := publicOf(secret)
	if err != nil {
		return nil, err
	}
	return &Signer{signer: s, public: public}, nil
}

// Public is the verifier key: what an auditor keeps, and what the ledger names.
func (s *Signer) Public() string { return s.public }

// String hides the key.
func (s *Signer) String() string { return "[redacted]" }

// Sign signs a tree head.
func (s *Signer) Sign(origin string, size int64, root Hash) (Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("signing the checkpoint of %d events: %w", size, err)
	}
	return Checkpoint{Origin: origin, Size: size, Root: root, Note: string(signed)}, nil
}

// SignNext is the old key's word for the new one: a note over "evict ledger key change", the origin, and the new
// verifier key, a line each. It goes into the event that records the change.
func (s *Signer) SignNext(origin, next string) (string, error) {
	signed, err := note.Sign(&note.Note{Text: nextText(origin, next)}, s.signer)
	return string(signed), err
}

func nextText(origin, next string) string {
	return "evict ledger key change\n" + origin + "\n" + next + "\n"
}

// Verify checks a checkpoint's signature with one verifier key, and that its fields are what was signed.
func Verify(c Checkpoint, public string) error {
	n, err := opened(c.Note, public)
	if err != nil {
		return err
	}
	again, err := ParseCheckpoint(c.Note)
	if err != nil {
		return err
	}
	if again.Origin != c.Origin || again.Size != c.Size || again.Root != c.Root || !strings.HasPrefix(c.Note, n.Text) {
		return errors.New("a checkpoint's fields are not those that were signed")
	}
	return nil
}

// VerifyNext checks the old key's word for the new one.
func VerifyNext(signature, origin, old, next string) error {
	n, err := opened(signature, old)
	if err != nil {
		return err
	}
	if n.Text != nextText(origin, next) {
		return errors.New("the signature is for another key")
	}
	return nil
}

func opened(signed, public string) (*note.Note, error) {
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return nil, fmt.Errorf("this is not a verifier key: %q", public)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return nil, fmt.Errorf("not signed by %s: %w", KeyID(public), err)
	}
	for _, sig := range n.Sigs { // or the last character could be another one that decodes to the same
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return nil, fmt.Errorf("the signature of %s: %w", KeyID(public), err)
		}
	}
	return n, nil
}

// KeyID is a verifier key in short, "name+hash": what a person compares.
func KeyID(public string) string {
	parts := strings.SplitN(strings.TrimSpace(public), "+", 3)
	if len(parts) < 3 {
		return "unknown key"
	}
	return parts[0] + "+" + parts[1]
}

// publicOf derives the verifier key. note does not do that: a signer key is "PRIVATE+KEY+name+hash+base64", of which
// the last holds the algorithm's number and the seed.
func publicOf(secret string) (string, error) {
	parts := strings.Split(secret, "+")
	if len(parts) < 5 {
		return "", errors.New("this is not a ledger key")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(parts[4:], "+"))
	if err != nil || len(raw) != 33 {
		return "", errors.New("this is not a ledger key")
	}
	return note.NewEd25519VerifierKey(parts[2], ed25519Public(raw[1:]))
}

func ed25519Public(seed []byte) ed25519.PublicKey {
	public, _ := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	return public
}
