package web

import (
	"net/http"

	"evict/web/templates"
)

// showAboutLedger explains the trail in plain words.
func (s *Server) showAboutLedger(w http.ResponseWriter, r *http.Request) error {
	page := templates.AboutLedgerPage{
		Page: s.frame(r, "How to read the ledger"), LedgerHref: "/ledger", VerifyHref: "/ledger/verify", Reconcile: "/ledger/reconcile",
	}
	if s.Notary != nil {
		page.Key = s.Notary.Standing().Public
	}
	if s.Trail != nil {
		head, err := s.Trail.Head(r.Context())
		if err != nil {
			return unreadLedger(err)
		}
		if head.Removed > 0 {
			page.Removed = "From this ledger, events up to number " + thousands(int(head.Removed)) + " have been removed, as events of kind ledger.removed say."
		}
	}
	return render(w, r, http.StatusOK, templates.AboutLedger(page))
}
