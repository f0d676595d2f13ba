package templates

// The notes of the user card in their one wording. Each says what it means for the action, not only what it is.

// NoteExternal is for an account that signs in elsewhere. Home names the home tenant and may be empty.
func NoteExternal(home string) Note {
	if home == "" {
		home = "another tenant"
	}
	return Note{Title: "External account", Text: "It signs in at " + home + ". Graph answers 200 here, and the home tenant keeps the session. Ask that tenant to revoke; block or remove the guest here."}
}

// NoteFederated is for a person whose domain signs in at another identity provider.
func NoteFederated(domain string) Note {
	if domain == "" {
		domain = "This person's domain"
	}
	return Note{Title: "Federated domain", Text: domain + " signs in at another identity provider. Its own cookie can sign an attacker straight back in: end the session there too, and change the password or block the account there."}
}

// NoteSynced is for an account whose source is on-premises Active Directory.
func NoteSynced() Note {
	return Note{Title: "Synced from on-premises", Text: "Active Directory is the source of this account. Reset the password and disable the account there; a change made only in Entra can be overwritten."}
}

// NoteDisabled is for a disabled account.
func NoteDisabled() Note {
	return Note{Title: "Account disabled", Text: "No new sign-in is possible. Tokens issued before may still live, so revoking is still worth it."}
}

// NoteRestricted is for a member of a restricted-management administrative unit. Unit may be empty.
func NoteRestricted(unit string) Note {
	if unit == "" {
		unit = "a restricted-management unit"
	} else {
		unit = "the restricted-management unit " + unit
	}
	return Note{Title: "Restricted management", Text: "In " + unit + ", which refuses even a Global Administrator. Someone who holds a role in that unit must act."}
}

// NoteSelf is for the operator's own account.
func NoteSelf(meHref string) Note {
	return Note{Title: "This is you", Text: "Revoking your own sessions also ends your sessions in this console.", Link: Link{Label: "Sign myself out everywhere", Href: meHref}}
}

// NoteProtected is for an account on the protected list. Why may be empty.
func NoteProtected(why string) Note {
	text := "Bulk plans never include this account."
	if why != "" {
		text += " Why it is listed: " + why
	}
	return Note{Title: "Protected account", Text: text}
}

// NoteAgent is for the user account of an AI agent.
func NoteAgent() Note {
	return Note{Title: "Agent user", Text: "An agent acts with this account. Its agent identity may get new tokens without a person: block the agent identity too."}
}

// NoteOperator is for a person who is an operator of this console.
func NoteOperator() Note {
	return Note{Title: "Operator of Evict", Text: "Once Graph accepts, their sessions in this console end too, and the runs that they started pause."}
}
