package notary

import "context"

// Look is one round of Run.
func (n *Notary) Look(ctx context.Context) { n.look(ctx) }

// VerifyDaily is what Run does beside that.
func (n *Notary) VerifyDaily(ctx context.Context) { n.verifyDaily(ctx) }

// Wait waits for a verification under way to end by itself.
func (n *Notary) Wait() { n.working.Wait() }
