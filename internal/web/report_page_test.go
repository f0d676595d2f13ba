package web

import (
	"net/http"
	"testing"

	"evict/internal/revoke"
)

func TestTheReportSaysThatItIsNoEvidence(t *testing.T) {
	t.Parallel()
	b, _ := deskWithRun(manyRun(revoke.RunFinished))
	w, doc := b.get(t, "/runs/r/report", false)
	wantStatus(t, w, http.StatusOK)
	has(t, "the report", doc, "the ledger's export of these events", "made from the console's working tables, which no proof covers")
}
