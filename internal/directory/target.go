package directory

// AsTarget says in a sentence what holding a role means for revoking its holder: which operator roles may
// (the table that MatrixSource names).
func AsTarget(r Role) string {
	var names []string
	for _, id := range table.covering(r.TemplateID) {
		names = append(names, table.byID[id].Name)
	}
	return "Whoever holds it actively can be revoked by holders of " + joined(names) + ", and only if every other role they hold allows it too."
}
