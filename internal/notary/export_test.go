package notary

import "context"

// Look is one round of Run.
func (n *Notary) Look(ctx context.Context) { n.look(ctx) }

// Wait waits for a verification under way to end by itself.
func (n *Notary) Wait() { n.working.Wait() }
