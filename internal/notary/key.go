package notary

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"evict/internal/audit"
)

// Keys are the keys that the ledger names: as far as each is vouched for by the one before. What breaks the chain a
// verification names.
func (n *Notary) Keys(ctx context.Context) (audit.Keyring, error) {
	keys, _, err := keyring(ctx, n.Ledger, n.origin())
	return keys, err
}

// keyring reads the keys, and what breaks their chain.
func keyring(ctx context.Context, l Ledger, origin string) (keys audit.Keyring, broken, err error) {
	records, err := l.KeyEvents(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the ledger's keys: %w", err)
	}
	keys, broken = audit.ReadKeyring(records, origin)
	return keys, broken, nil
}

// newestSigned is the newest stored checkpoint of at most upTo events that one of the keys signed; ok is false when
// there is none. Any other one somebody else put there.
func newestSigned(ctx context.Context, l Ledger, keys audit.Keyring, upTo int64) (c audit.Signed, ok bool, err error) {
	for range foreign {
		c, ok, err = l.LastCheckpoint(ctx, upTo)
		if err != nil {
			return audit.Signed{}, false, fmt.Errorf("reading the newest checkpoint: %w", err)
		}
		if !ok || keys.Signed(c.Checkpoint) {
			return c, ok, nil
		}
		upTo = c.Size - 1
	}
	return audit.Signed{}, false, fmt.Errorf("the newest %d checkpoints in the database are not signed by a key of the ledger", foreign)
}

// foreign is how many checkpoints that the ledger's keys did not sign are passed over.
const foreign = 1000

// admitKey records the key of a ledger that names none yet, and refuses any other than the newest that it names.
func (n *Notary) admitKey(ctx context.Context, keys audit.Keyring, broken error) error {
	own := n.Signer.Public()
	switch {
	case broken != nil:
		return fmt.Errorf("%w: %w: somebody wrote it who does not hold the key; restore the database from before that", ErrKey, broken)
	case len(keys) == 0:
		if err := n.Ledger.Append(ctx, n.event(audit.LedgerKey, "", map[string]string{"key": own})); err != nil {
			return fmt.Errorf("recording the ledger's key: %w", err)
		}
		n.Logger.Info("the ledger has its key", "key", own)
		return nil
	case keys.Newest() != own:
		return fmt.Errorf("%w: EVICT_LEDGER_KEY is %s, and the ledger names %s: give it that key, or change keys with 'evict audit rotate'",
			ErrKey, audit.KeyID(own), audit.KeyID(keys.Newest()))
	default:
		return nil
	}
}

// keyProblem says why this process may not sign any more: another one changed the key meanwhile.
func (n *Notary) keyProblem(ctx context.Context) (keys audit.Keyring, problems []audit.Problem, err error) {
	keys, broken, err := keyring(ctx, n.Ledger, n.origin())
	if err != nil {
		return nil, nil, err
	}
	var why string
	switch {
	case broken != nil:
		why = "The chain of keys is broken: " + broken.Error() + "."
	case len(keys) == 0:
		why = "The ledger does not name its key any more."
	case keys.Newest() != n.Signer.Public():
		why = fmt.Sprintf("The ledger's key is now %s, and this process has %s: give it the new key and start it again.",
			audit.KeyID(keys.Newest()), audit.KeyID(n.Signer.Public()))
	default:
		return keys, nil, nil
	}
	return keys, []audit.Problem{{Fault: audit.UnknownKey, Text: why}}, nil
}

// Rotate signs where the ledger stands with the key of the options, records the change to the next one with the old
// one's word for it, and signs that with the new one. reason stands in the event.
func Rotate(ctx context.Context, o Options, next *audit.Signer, reason string) (audit.Signed, error) {
	if next.Public() == o.Signer.Public() {
		return audit.Signed{}, errors.New("the new key is the old one: make a new one with 'evict audit keygen -o FILE'")
	}
	n, err := Open(ctx, o)
	if err != nil {
		return audit.Signed{}, err
	}
	defer n.stop()
	if problems := n.Standing().Problems; len(problems) > 0 {
		return audit.Signed{}, fmt.Errorf("%w: %s", ErrProblems, problems[0].Text)
	}
	keys, err := n.Keys(ctx)
	if err != nil {
		return audit.Signed{}, err
	}
	if slices.Contains(keys.Names(), next.Public()) {
		return audit.Signed{}, errors.New("the ledger was signed with that key before: make a new one with 'evict audit keygen -o FILE'")
	}
	word, err := o.Signer.SignNext(o.origin(), next.Public())
	if err != nil {
		return audit.Signed{}, fmt.Errorf("signing the change of keys: %w", err)
	}
	err = o.Ledger.Append(ctx, o.event(audit.LedgerKey, reason, map[string]string{
		"key": next.Public(), "old_key": o.Signer.Public(), "signature": word,
	}))
	if err != nil {
		return audit.Signed{}, fmt.Errorf("recording the change of keys: %w", err)
	}
	n.Signer = next
	c, err := n.Sign(ctx)
	if err != nil {
		return audit.Signed{}, fmt.Errorf("the change of keys is recorded, but no checkpoint covers it yet: %w", err)
	}
	if unkept := n.Standing().Unkept; unkept != "" {
		return audit.Signed{}, fmt.Errorf("the change of keys is recorded and signed, but the checkpoint could not be written to %s: %s", o.File, unkept)
	}
	return c, nil
}
