package templates_test

import "evict/web/templates"

func bulkFrame(title string) templates.Page {
	p := frame(title, "")
	p.Nav = []templates.NavItem{
		{Label: "Home", Href: "/"}, {Label: "Bulk", Href: "/scopes", Current: true}, {Label: "Runs", Href: "/runs"},
		{Label: "Ledger", Href: "/ledger"}, {Label: "Settings", Href: "/settings/protected"}, {Label: "My sessions", Href: "/me"},
	}
	return p
}

func scopeSources() templates.ScopeSources {
	return templates.ScopeSources{
		Nonce: nonce, RemoveAction: "/scopes/1/remove", Version: "7", IncludeSum: "about 1,652 people, without 1 source not counted", ExcludeSum: "1 person",
		Include: []templates.SourceRow{
			{At: "include.0", Kind: "role", Name: "Global Administrator", Href: "/roles/1", Detail: "active and eligible holders, also through groups", Count: "14 or more"},
			{At: "include.1", Kind: "group", Name: "Finance", Href: "/groups/1", Detail: "with nested groups", Count: "1,600"},
			{At: "include.2", Kind: "filter", Filter: "department eq 'Sales' and createdDateTime ge 2026-11-01T00:00:00Z", CountWhy: "Microsoft Graph does not take this filter: unsupported property."},
			{At: "include.3", Kind: "list", Name: "38 lines (column UserPrincipalName)", Count: "up to 38", Problems: []string{"Line 17 is no sign-in name, address or object id: “see the other sheet”."},
				Lines: []string{"ada.moreno@tenant.example", longUPN, victimID}, More: "and 35 more lines"},
			{At: "include.4", Kind: "unit", Name: "Lisbon", Detail: "its members", Count: "0"},
		},
		Exclude: []templates.SourceRow{{At: "exclude.0", Kind: "user", Name: "Robin Keller (robin.keller@tenant.example)", Href: "/users/1", Count: "1"}},
	}
}

func scopeAdd() *templates.ScopeAdd {
	return &templates.ScopeAdd{
		Action: "/scopes/1/add", Nonce: nonce, Find: templates.FindForm{Href: "/scopes/1"}, LinesHint: "Up to 100,000 lines, or 8 MB. What is nobody's name is listed as not found.",
		Filter: templates.FilterForm{Max: 1000, ValueHint: "Where the choice ends in “…”. A date as 2026-03-01.",
			Readies: []templates.Option{{Value: "department", Label: "Department is …"}, {Value: "created", Label: "Created since …"}, {Value: "external", Label: "Invited from elsewhere"}}},
		Tenant: true,
	}
}

func scopePage() templates.ScopePage {
	return templates.ScopePage{
		Page: bulkFrame("Wave 2"), Title: "Wave 2: finance and administrators", Mine: true, Updated: at("14:02:11", "3 min ago"), Sources: scopeSources(), Add: scopeAdd(),
		Settings:   &templates.ScopeSettings{SaveAction: "/scopes/1/save", PreviewAction: "/scopes/1/preview", Version: "7", Title: "Wave 2: finance and administrators", External: true, CanPreview: true},
		CopyAction: "/scopes/1/copy", DeleteAction: "/scopes/1/delete",
	}
}

func scopeHits() *templates.ScopeHits {
	return &templates.ScopeHits{Action: "/scopes/1/add", Results: hits()}
}

func scopeVariants() []fixture {
	fresh := templates.ScopePage{Page: bulkFrame("New scope"), Mine: true, Updated: at("14:05:00", "just now"), Add: scopeAdd(),
		Sources:    templates.ScopeSources{Nonce: nonce, RemoveAction: "/scopes/1/remove", Version: "1"},
		Settings:   &templates.ScopeSettings{SaveAction: "/scopes/1/save", PreviewAction: "/scopes/1/preview", Version: "1"},
		Notes:      []templates.Note{{Title: "No account is protected", Text: "Break-glass and sync accounts are signed out like everybody else.", Link: templates.Link{Label: "Protected accounts", Href: "/settings/protected"}}},
		CopyAction: "/scopes/1/copy", DeleteAction: "/scopes/1/delete"}

	counting := scopePage()
	counting.Sources.IncludeSum, counting.Sources.ExcludeSum, counting.Sources.CountHref = "", "", "/scopes/1?counts=1"
	for i := range counting.Sources.Include {
		counting.Sources.Include[i].Count, counting.Sources.Include[i].CountWhy = "", ""
	}
	counting.Add.Find.Query, counting.Add.Find.Results = "admin", scopeHits()
	counting.Add.Find.Results.AnyRole = true

	others := scopePage()
	others.Mine, others.Owner, others.Add, others.Settings, others.DeleteAction = false, templates.Person{UPN: "lead@tenant.example"}, nil, nil, ""
	others.Options = []string{"Includes external accounts: each ends as “not covered”."}
	others.Sources.RemoveAction = ""

	invalid := scopePage()
	invalid.Add.Open = templates.FieldLines
	invalid.Add.Lines, invalid.Add.LinesError = "one@tenant.example\n</textarea><script>", "Line 2 is not text."
	invalid.Notes = []templates.Note{{Title: "Changed meanwhile", Text: "This scope was changed in another window. Nothing was saved; what you typed is still here."}}
	invalid.Settings.TitleError = "A title has at most 120 characters."

	filter := scopePage()
	filter.Add.Open, filter.Add.Filter.Text, filter.Add.Filter.Count = templates.FieldFilter, "department eq 'Sales'", "38 people match"
	wrong := scopePage()
	wrong.Add.Open, wrong.Add.Filter.Ready, wrong.Add.Filter.ValueError = templates.FieldFilter, "department", "Fill in the department."
	wrong.Add.Filter.CountWhy = "Microsoft Graph did not answer."
	unit := scopePage()
	unit.Add.Open, unit.Add.Units, unit.Add.UnitError = templates.FieldUnit, []templates.Option{{Value: "1", Label: "Lisbon"}}, "Choose a unit."
	tenant := scopePage()
	tenant.Add.Open = "tenant"
	full := scopePage()
	full.Add.Full = "A scope has at most 50 sources. Remove one, or put people together in a list."

	rows := []templates.ScopeRow{
		{Title: "All privileged roles", Href: "/scopes/2", Owner: templates.Person{UPN: "lead@tenant.example"}, What: "roles Global Administrator, Privileged Role Administrator and 12 more; less user Break Glass 1", Updated: at("10:00:00", "4 h ago")},
		{Title: "Wave 2: finance and administrators", Href: "/scopes/1", Mine: true, What: "role Global Administrator; group Finance; a filter; a list of 38 lines; unit Lisbon; less user Robin Keller", Updated: at("14:02:11", "3 min ago")},
	}
	list := templates.ScopesPage{Page: bulkFrame("Bulk"), NewAction: "/scopes", Saved: rows, Drafts: []templates.ScopeRow{{Href: "/scopes/3", Mine: true, What: "nobody yet", Updated: at("13:00:00", "1 h ago")}},
		Protected: templates.Note{Tone: templates.ToneOn, Title: "4 accounts are protected", Text: "They stay out of every bulk plan.", Link: templates.Link{Label: "See them", Href: "/settings/protected"}}}
	none := templates.ScopesPage{Page: bulkFrame("Bulk"), NewAction: "/scopes"}
	return []fixture{
		{"scopes", templates.Scopes(list)}, {"scopes-none", templates.Scopes(none)}, {"scope", templates.Scope(scopePage())}, {"scope-fresh", templates.Scope(fresh)},
		{"scope-counting", templates.Scope(counting)}, {"scope-others", templates.Scope(others)}, {"scope-invalid", templates.Scope(invalid)}, {"scope-filter", templates.Scope(filter)},
		{"scope-filter-wrong", templates.Scope(wrong)}, {"scope-unit", templates.Scope(unit)}, {"scope-tenant", templates.Scope(tenant)}, {"scope-full", templates.Scope(full)},
	}
}

func protectedVariants() []fixture {
	kinds := []templates.Option{{Value: "break-glass", Label: "Break-glass"}, {Value: "sync", Label: "Sync"}, {Value: "service", Label: "Service"}, {Value: "other", Label: "Other"}}
	admin := templates.ProtectedPage{Page: bulkFrame("Protected accounts"), RemoveAction: "/settings/protected/remove",
		Rows: []templates.ProtectedRow{
			{Person: templates.Person{Name: "Break Glass 1", UPN: "bg1@tenant.example", ID: victimID}, Kind: "break-glass", Note: "Sealed envelope, safe B; Security owns it", By: templates.Person{UPN: "admin@tenant.example"}, Since: at("10:00:00", "4 h ago")},
			{Person: templates.Person{Name: "On-Premises Directory Synchronization Service Account", UPN: "Sync_DC01_3f0c1a527d1b@tenant.example", ID: requestA}, Kind: "sync", By: templates.Person{UPN: "admin@tenant.example"}, Since: at("10:01:00", "4 h ago")},
		},
		Form: &templates.ProtectForm{Action: "/settings/protected", Kinds: kinds}}
	reader := admin
	reader.Form, reader.RemoveAction = nil, ""
	invalid := templates.ProtectedPage{Page: bulkFrame("Protected accounts"), RemoveAction: "/settings/protected/remove",
		Form: &templates.ProtectForm{Action: "/settings/protected", Kinds: kinds, Account: "bg1", Kind: "sync", Note: "why", AccountError: "There is no user with this sign-in name or object id.", DraftRestored: true}}
	return []fixture{
		{"protected", templates.Protected(admin)}, {"protected-reader", templates.Protected(reader)}, {"protected-invalid", templates.Protected(invalid)},
	}
}
