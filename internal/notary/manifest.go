package notary

import (
	"context"

	"evict/internal/audit"
)

// Manifest fixes what an export of this moment is of: the tree as it stands, with a checkpoint of this moment when that
// can be signed. When it cannot, an older one goes along, and its size says so. Who takes it, when, and what was asked
// for, the caller adds.
func (n *Notary) Manifest(ctx context.Context) (audit.Manifest, error) {
	signed, err := n.Sign(ctx)
	if err != nil {
		n.Logger.Warn("an export goes out beneath an older checkpoint", "error", err)
	}
	m, err := manifest(ctx, n.Ledger, n.Cloud, n.Tenant)
	if signed.Size <= m.Size { // else the ledger was rolled back meanwhile
		m.Checkpoint = signed.Note
	}
	return m, err
}

// ManifestOf is the same of a ledger that is only read: the newest checkpoint in the database goes along.
func ManifestOf(ctx context.Context, l Ledger, cloud, tenant string) (audit.Manifest, error) {
	m, err := manifest(ctx, l, cloud, tenant)
	if err != nil {
		return m, err
	}
	c, _, err := newestSigned(ctx, l, m.Keys, m.Size)
	m.Checkpoint = c.Note
	return m, err
}

// manifest is of the tree as it stands, without a checkpoint.
func manifest(ctx context.Context, l Ledger, cloud, tenant string) (audit.Manifest, error) {
	head, err := headOf(ctx, l)
	if err != nil {
		return audit.Manifest{}, err
	}
	keys, _, err := keyring(ctx, l, audit.Origin(cloud, tenant))
	return audit.Manifest{Cloud: cloud, Tenant: tenant, Size: head.Size, Root: head.Root, Removed: head.Removed, Keys: keys}, err
}
