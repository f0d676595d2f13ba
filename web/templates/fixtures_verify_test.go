package templates_test

import (
	"strings"
	"testing"

	"evict/web/templates"
)

const note18700 = "evict/public/7f0c1a52-7d1b-4a52-9c3e-0b5d2f6f8a11\n18700\nW1dVtYr0gXmPmQ7X0v1oQ3o2x1lXzB8Jm8wqB6sQJ0E=\n\n— evict-contoso 1k2l3m4nAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/QA==\n"

func verifyPage() templates.VerifyPage {
	p := templates.VerifyPage{
		Page: frame("Verify the ledger", "Ledger"), Export: "/ledger/export",
		Live: templates.VerifyLive{
			Href: "/ledger/verify", Nonce: nonce, Action: "/ledger/verify", Tone: templates.ToneOK,
			Status: "Intact: 18,702 events, all that there were then.",
			Facts: []templates.Fact{
				{Label: "Last verified", Value: templates.Value{Time: at("14:02:11", "3 min ago"), Detail: "by auditor@tenant.example, 72 events since"}},
				{Label: "Its record", Value: templates.Value{Text: "event 18,703", Href: "/ledger/18703"}},
				{Label: "Ledger now", Value: templates.Value{Text: "18,774 events"}},
				{Label: "Signed", Value: templates.Value{Text: "up to event 18,700", Detail: "23 Nov 2026 14:00:02 UTC, 74 events since"}},
			},
		},
		Key:   templates.VerifierKey{ID: "evict-contoso+d64da7f2", Text: "evict-contoso+d64da7f2+AZ3Nw2Jk9r9yQ0VbQmVyc3Rvcm1hbGxvd2VkdG9iZTMyYnk="},
		Proof: templates.ConsistencyForm{Action: "/ledger/consistency", From: "17,220", To: "18,700"},
		Checkpoints: templates.CheckpointList{
			Download: "/ledger/checkpoints", Older: "/ledger/verify?before=17220",
			Rows: []templates.CheckpointRow{
				{ID: "checkpoint-18700", Events: "18,700 events", Time: at("14:00:02", "5 min ago"), Note: note18700, Open: true},
				{ID: "checkpoint-17220", Events: "17,220 events", Time: at("13:55:02", "10 min ago"), Note: strings.Replace(note18700, "18700", "17220", 1)},
			},
		},
		Laptop: []templates.Command{
			{Label: "An export, with the verifier key saved as verifier.key", Text: "evict audit verify -key verifier.key -checkpoint evict-checkpoints-contoso.txt EXPORT.jsonl"},
			{Label: "A proof between two checkpoints", Text: "evict audit verify -key verifier.key -checkpoint evict-checkpoints-contoso.txt PROOF.json"},
		},
	}
	p.Live.Result = &templates.VerifyResult{
		Title:  "Result of 23 Nov 2026 14:02:11 UTC: intact",
		Facts:  []templates.Fact{{Label: "Read", Value: templates.Value{Text: "18,702 events"}}, {Label: "Root", Value: templates.Value{Text: "W1dVtYr0gXmPmQ7X0v1oQ3o2x1lXzB8Jm8wqB6sQJ0E=", Mono: true, Copy: true}}},
		Covers: []string{"Every event up to 18,702 is there, unaltered, since the oldest checkpoint that was used.", "It cannot show what was never recorded."},
	}
	return p
}

func verifyVariants() []fixture {
	never := verifyPage()
	never.Live = templates.VerifyLive{Href: "/ledger/verify", Action: "/ledger/verify", Status: "Nobody has verified this ledger yet."}
	never.Key, never.Checkpoints, never.Proof.From, never.Proof.To = templates.VerifierKey{Unknown: "The database does not answer."}, templates.CheckpointList{}, "", ""

	running := verifyPage()
	running.Live.Running, running.Live.Tone, running.Live.Status = true, templates.ToneOn, "Verifying, for auditor@tenant.example."
	running.Live.Done, running.Live.Of, running.Live.Counted, running.Live.Result = 412_000, 1_000_000, "412,000 of 1,000,000 events", nil

	broken := verifyPage()
	broken.Live.Tone, broken.Live.Status = templates.ToneNo, "Not intact: 53 problems in 18,702 events."
	broken.Live.Notes = []templates.Note{
		{Tone: templates.ToneNo, Title: "Alarm: run incomplete", Text: "Run 018f: its closing event counts 6,012 events, and 6,011 are there."},
		{Tone: templates.ToneNo, Title: "Nothing more is signed", Text: "Change nothing in the database."},
		{Title: "The newest checkpoint was not written outside the database", Text: "No space left on device."},
	}
	broken.Live.Result = &templates.VerifyResult{
		Title: "Result of 23 Nov 2026 14:02:11 UTC: 53 problems", More: "And 51 problems more.",
		Problems: []templates.VerifyProblem{
			{Fault: "altered event", Text: "Event 1,234 was altered: its bytes do not have the hash that the tree has.", Link: templates.Link{Label: "Look at it", Href: "/ledger/1234"}},
			{Fault: "missing", Text: "Events 5 to 9 are missing."},
		},
		Covers: []string{"Every event up to 18,702 was looked at."},
	}
	broken.Key.Former = []templates.Command{{Label: "evict-contoso+0011aabb", Text: "evict-contoso+0011aabb+AZ3Nw2Jk9r9yQ0Vb"}}
	broken.Proof.From, broken.Proof.FromError = "17,000", "There is no checkpoint of 17,000 events. The one before has 16,877 events."
	return []fixture{
		{"verify", templates.Verify(verifyPage())}, {"verify-never", templates.Verify(never)},
		{"verify-running", templates.Verify(running)}, {"verify-problems", templates.Verify(broken)},
	}
}

func TestTheVerifyPageAsksAgainOnlyWhileItRuns(t *testing.T) {
	t.Parallel()
	p := verifyPage()
	for _, running := range []bool{true, false} {
		p.Live.Running = running
		doc, html := render(t, templates.Verify(p))
		if got := doc.Find("#verify[hx-get='/ledger/verify']").Length() == 1; got != running {
			t.Errorf("running %v: polls = %v", running, got)
		}
		if got := strings.Contains(html, `<noscript><meta http-equiv="refresh"`); got != running {
			t.Errorf("running %v: refreshes without scripts = %v", running, got)
		}
		if got := doc.Find("progress").Length() == 1; got != running {
			t.Errorf("running %v: progress = %v", running, got)
		}
		if got := doc.Find("#verify form[method=post] button").Length() == 0; got != running {
			t.Errorf("running %v: the button is gone = %v", running, got)
		}
	}
}

func TestProblemsComeBeforeWhatAVerificationCovers(t *testing.T) {
	t.Parallel()
	for _, f := range verifyVariants() {
		if f.name != "verify-problems" {
			continue
		}
		doc, html := render(t, f.page)
		if got := doc.Find(".problems li").Length(); got != 2 {
			t.Errorf("%d problems, want 2", got)
		}
		if problems, covers := strings.Index(html, "Event 1,234 was altered"), strings.Index(html, "What this covers"); problems < 0 || covers < problems {
			t.Error("the problems do not come first")
		}
		if got := text(doc.Find("#from-error")); !strings.Contains(got, "no checkpoint of 17,000") {
			t.Errorf("the error beside the field is %q", got)
		}
	}
}
