package notary

import (
	"context"
	"errors"
	"fmt"

	"evict/internal/audit"
)

// chain follows the keys that the ledger names: the first as it stands, each later one with the word of the one before.
// The error names an event that breaks the chain, which somebody wrote who does not hold the key; what is vouched for
// comes back beside it.
func chain(records []audit.Record, origin string) (keys []string, err error) {
	for _, r := range records {
		d := r.Event.Detail
		key, newest := d["key"], ""
		if len(keys) > 0 {
			newest = keys[len(keys)-1]
		}
		switch {
		case newest == "":
			keys = append(keys, key)
		case key == newest: // two replicas that started at once both named it
		case d["old_key"] != newest || audit.VerifyNext(d["signature"], origin, newest, key) != nil:
			return keys, fmt.Errorf("event %d names the key %s without the word of the key before, %s", r.Seq, audit.KeyID(key), audit.KeyID(newest))
		default:
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Keys are the verifier keys that the ledger names, the oldest first.
func (n *Notary) Keys(ctx context.Context) ([]string, error) {
	return KeysOf(ctx, n.Ledger, n.Cloud, n.Tenant)
}

// KeysOf are the verifier keys that a ledger names, the oldest first: as far as each is vouched for by the one before.
func KeysOf(ctx context.Context, l Ledger, cloud, tenant string) ([]string, error) {
	records, err := l.KeyEvents(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's keys: %w", err)
	}
	keys, _ := chain(records, audit.Origin(cloud, tenant)) // a verification names what breaks the chain
	return keys, nil
}

// admitKey records the key of a ledger that names none yet, and refuses any other than the newest that it names.
func (n *Notary) admitKey(ctx context.Context, keys []string, broken error) error {
	own := n.Signer.Public()
	switch {
	case broken != nil:
		return fmt.Errorf("%w: %w: somebody wrote it who does not hold that key; restore the database from before it", ErrKey, broken)
	case len(keys) == 0:
		if err := n.Ledger.Append(ctx, n.event(audit.LedgerKey, "", map[string]string{"key": own})); err != nil {
			return fmt.Errorf("recording the ledger's key: %w", err)
		}
		n.Logger.Info("the ledger has its key", "key", own)
		return nil
	case keys[len(keys)-1] != own:
		return fmt.Errorf("%w: EVICT_LEDGER_KEY is %s, and the ledger names %s: give it that key, or change keys with 'evict audit rotate'",
			ErrKey, audit.KeyID(own), audit.KeyID(keys[len(keys)-1]))
	default:
		return nil
	}
}

// keyProblem says why this process may not sign any more: another one changed the key meanwhile.
func (n *Notary) keyProblem(ctx context.Context) ([]audit.Problem, error) {
	records, err := n.Ledger.KeyEvents(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's keys: %w", err)
	}
	keys, broken := chain(records, n.origin())
	var why string
	switch {
	case broken != nil:
		why = "The chain of keys is broken: " + broken.Error() + "."
	case len(keys) == 0:
		why = "The ledger does not name its key any more."
	case keys[len(keys)-1] != n.Signer.Public():
		why = fmt.Sprintf("The ledger's key is now %s, and this process has %s: give it the new key and start it again.",
			audit.KeyID(keys[len(keys)-1]), audit.KeyID(n.Signer.Public()))
	default:
		return nil, nil
	}
	return []audit.Problem{{Fault: audit.UnknownKey, Text: why}}, nil
}

// Rotate signs where the ledger stands with the key of the options, records the change to the next one with the old
// one's word for it, and signs that with the new one. reason stands in the event.
func Rotate(ctx context.Context, o Options, next *audit.Signer, reason string) (audit.Signed, error) {
	if next.Public() == o.Signer.Public() {
		return audit.Signed{}, errors.New("the new key is the old one: make a new one with 'evict audit keygen'")
	}
	n, err := Open(ctx, o)
	if err != nil {
		return audit.Signed{}, err
	}
	defer n.stop()
	if problems := n.Standing().Problems; len(problems) > 0 {
		return audit.Signed{}, fmt.Errorf("%w: %s", ErrProblems, problems[0].Text)
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
	return n.Sign(ctx)
}
