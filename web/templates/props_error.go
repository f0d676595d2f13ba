package templates

// ErrorPage is a page that says what went wrong. The functions below make the usual ones in their one wording; fill in
// what is missing afterwards.
type ErrorPage struct {
	Page      Page
	Title     string
	What      string // what happened
	Why       string
	WhatToDo  string
	RequestID string
	Time      Time
	Primary   Link // the way on
	Retry     Link
	// Typed is what the person had typed into the form, kept as text to copy.
	Typed    []Command
	Commands []Command // to do the same by hand
}

// NotFoundError is for an address that does not exist, or that this person may not see.
func NotFoundError(p Page, requestID string) ErrorPage {
	return ErrorPage{Page: titled(p, "Not found"), Title: "There is nothing here", What: "The address does not exist, or what stood there is not yours to see.",
		WhatToDo: wayOn(p), RequestID: requestID, Primary: Link{"Home", "/"}}
}

func wayOn(p Page) string {
	if p.CanSearch {
		return "Check the address, or search for the person."
	}
	return "Check the address, or begin at Home."
}

// ForbiddenError is for an action that the person's console roles do not allow. Needs names the role that does.
func ForbiddenError(p Page, requestID, needs string) ErrorPage {
	e := ErrorPage{Page: titled(p, "Not allowed"), Title: "Your console role does not allow this", What: "Nothing was done.",
		WhatToDo: "Ask someone who holds the role, or ask for it and sign in again: a new role counts from the next sign-in.", RequestID: requestID, Primary: Link{"Home", "/"}}
	if needs != "" {
		e.Why = "It needs the console role " + needs + "."
	}
	return e
}

// SessionExpiredError is for a form that arrived after the session had ended. Typed keeps what was written.
func SessionExpiredError(p Page, requestID, signInHref string, typed []Command) ErrorPage {
	return ErrorPage{Page: titled(p, "Session ended"), Title: "Your session in this console has ended", What: "Nothing was sent and nothing was done.",
		Why: "A session ends after 30 minutes without use, after 8 hours, or when someone revokes yours.", WhatToDo: "Sign in again. What you typed is below, to copy.",
		RequestID: requestID, Primary: Link{"Sign in with Microsoft", signInHref}, Typed: typed}
}

// ClaimsChallengeError is for a challenge by Microsoft. RunWaits: a run is paused and goes on afterwards by a click;
// otherwise nothing was called.
func ClaimsChallengeError(p Page, requestID, continueHref string, runWaits bool) ErrorPage {
	e := ErrorPage{Page: titled(p, "Sign in again"), Title: "Microsoft wants to check that it is still you", What: "Nothing was called.",
		Why: "A policy or a change to your account asks for a fresh sign-in.", WhatToDo: "Continue to Microsoft. You come back to the form as you left it, and nothing is sent until you press the button again.",
		RequestID: requestID, Primary: Link{"Continue to Microsoft", continueHref}}
	if runWaits {
		e.What = "The run waits. Nobody was skipped."
		e.WhatToDo = "Continue to Microsoft. You come back to the run, and it goes on when you press Resume."
	}
	return e
}

// ReauthRequiredError is for a token that can no longer be redeemed.
func ReauthRequiredError(p Page, requestID, signInHref string, typed []Command) ErrorPage {
	return ErrorPage{Page: titled(p, "Sign in again"), Title: "Microsoft no longer accepts your sign-in", What: "Nothing was called.",
		Why: "Your own sessions were revoked, your password changed, or the token expired.", WhatToDo: "Sign in again, then repeat the action.",
		RequestID: requestID, Primary: Link{"Sign in with Microsoft", signInHref}, Typed: typed}
}

// ThrottledError is for a request that must wait. Wait is display-ready: "40 s".
func ThrottledError(p Page, requestID, wait, retryHref string) ErrorPage {
	e := ErrorPage{Page: titled(p, "Wait a moment"), Title: "Too many requests", What: "Nothing was done.", RequestID: requestID, Retry: Link{"Try again", retryHref}}
	e.Why = "Microsoft Graph or this console asked us to slow down."
	e.WhatToDo = "Try again in a moment."
	if wait != "" {
		e.WhatToDo = "Try again in " + wait + "."
	}
	return e
}

// UnavailableError is for a part that does not answer, such as Graph or the database. What says which.
func UnavailableError(p Page, requestID, what, retryHref string) ErrorPage {
	return ErrorPage{Page: titled(p, "Not available"), Title: "This cannot be done right now", What: what, WhatToDo: "Try again. If it goes on, give your administrator the request id.",
		RequestID: requestID, Retry: Link{"Try again", retryHref}, Primary: Link{"Home", "/"}}
}

// InternalError is for what nobody foresaw.
func InternalError(p Page, requestID string) ErrorPage {
	return ErrorPage{Page: titled(p, "Error"), Title: "Something went wrong in this console", What: "The request was not completed.",
		Why: "The cause is in the server's log under the request id.", WhatToDo: "If you were revoking, look at the runs before you try again: a repeat is harmless.",
		RequestID: requestID, Primary: Link{"See the runs", "/runs"}}
}

func titled(p Page, title string) Page {
	p.Title = title
	return p
}
