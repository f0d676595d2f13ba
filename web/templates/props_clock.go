package templates

// Clock is the honest clock: what a revocation stops, when, and what it never touches. All its words are here, so that
// every page says the same. Times are display-ready.
//
// Sources: Microsoft Learn, "Revoke user access in Microsoft Entra ID", "Continuous access evaluation", "Access tokens
// in the Microsoft identity platform" and "Refresh tokens in the Microsoft identity platform".
type Clock struct {
	Recorded Time // the stamp that Entra recorded; zero before a revocation and while unconfirmed
	// People says of how many it was recorded, by the time in Recorded: "6,204 people". Empty for one person.
	People string
	// Until is when access tokens issued before the cut usually end (T + 90 min), as "15:32 UTC"; empty before.
	Until string
	// UntilNoCA is the same for a tenant without Conditional Access (T + 2 h); empty before.
	UntilNoCA string
	// ExchangeOnly is set for the US government clouds, where continuous access evaluation covers Exchange alone.
	ExchangeOnly bool
	Disabled     bool // the account is disabled: nobody can sign in with it
	External     bool // the account signs in elsewhere: its home tenant keeps the session
	Federated    bool // another identity provider can sign the person straight back in
}

type clockRow struct{ when, what string }

func (c Clock) rows() []clockRow {
	rows := make([]clockRow, 0, 7)
	if c.External {
		rows = append(rows, clockRow{"Not covered", "This account signs in at its home tenant, and that tenant keeps the session. Ask it to revoke, and block or remove the guest here."})
	}
	rows = append(rows, clockRow{"Not stopped", c.notStopped()})
	rows = append(rows, clockRow{"About 15\u00a0min", c.evaluated()})
	rows = append(rows, clockRow{c.untilLabel(), c.accessTokens()})
	rows = append(rows, clockRow{"Up to 28\u00a0h", "Access at a resource that takes long-lived tokens but does not evaluate this event."})
	rows = append(rows, clockRow{"Never touched", "Cookies that apps issued, external accounts, app-only tokens, consent grants, registered methods and devices, mailbox rules, on-premises Kerberos tickets."})
	return append(rows, clockRow{"What works", "In this order: reset the password or block the account, revoke, and revoke again after the reset."})
}

func (c Clock) notStopped() string {
	if c.Disabled {
		return "A new sign-in, once the account is enabled again: with the password, a passkey, a federated cookie or a registered device."
	}
	if c.Federated {
		return "A new sign-in: with the password, a passkey, a registered device, or the cookie of the federated identity provider, which can sign this person straight back in without a prompt."
	}
	return "A new sign-in: with the password, a passkey, a federated cookie or a registered device."
}

// recordedMeans says what the stamp proves.
func (c Clock) recordedMeans() string {
	if c.External {
		return "Entra wrote this stamp here. It does not bind the session at the home tenant."
	}
	if c.People != "" {
		return "By then for " + c.People + ", each with a stamp of their own: see the evidence. Sign-ins from before it get no new token, once it has reached all of Entra (a few minutes)."
	}
	return "Sign-ins from before this get no new token, once it has reached all of Entra (a few minutes)."
}

func (c Clock) evaluated() string {
	if c.External {
		return "Nothing: continuous access evaluation does not cover guests."
	}
	if c.ExchangeOnly {
		return "Exchange stops, by continuous access evaluation. In this cloud SharePoint and Teams do not take part."
	}
	return "Exchange, SharePoint and Teams stop, by continuous access evaluation."
}

func (c Clock) untilLabel() string {
	if c.Until == "" {
		return "Up to 90\u00a0min"
	}
	return "Until about " + c.Until
}

func (c Clock) accessTokens() string {
	s := "Other access tokens that were issued before the cut. "
	if c.UntilNoCA == "" {
		s += "2\u00a0h in a tenant without Conditional Access"
	} else {
		s += "Until about " + c.UntilNoCA + " in a tenant without Conditional Access"
	}
	return s + "; longer under a token-lifetime policy."
}
