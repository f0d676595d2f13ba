package auth

import (
	"errors"
	"slices"

	"evict/internal/fault"
)

// words says what a refused sign-in means and what to do. The numbers are from Microsoft Learn, "Microsoft Entra
// authentication and authorization error codes".
type words struct {
	codes        []string
	kind         fault.Kind
	message, fix string
}

var signInWords = []words{
	{
		[]string{"AADSTS50105"}, fault.Forbidden, "Your account is not assigned to this console.",
		"Ask an administrator to assign you one of the console's roles.",
	},
	{
		[]string{"AADSTS65004"}, fault.Forbidden, "The permissions were not accepted, so the sign-in ended.",
		"Sign in again and accept them, or ask an administrator to grant them for everyone.",
	},
	{
		[]string{"AADSTS65001", "AADSTS90094", "AADSTS90095", "AADSTS900941"}, fault.Forbidden,
		"The console has not been granted a permission that it needs.",
		"Ask an administrator to grant admin consent for the console's app registration.",
	},
	{
		[]string{"AADSTS50057"}, fault.Forbidden, "Your account is disabled.", "Ask an administrator.",
	},
	{
		[]string{"AADSTS50020", "AADSTS50034", "AADSTS90072", "AADSTS50178"}, fault.Forbidden,
		"This account does not belong to the organisation that the console serves.",
		"Sign in with an account of that organisation.",
	},
	{
		[]string{"AADSTS53000", "AADSTS53001", "AADSTS53002", "AADSTS53003", "AADSTS53004", "AADSTS530032"},
		fault.Forbidden, "A Conditional Access policy does not let you sign in from here.",
		"Use a device and place that your organisation's policy allows, or ask an administrator.",
	},
	{
		[]string{"AADSTS50173", "AADSTS50133", "AADSTS54005", "AADSTS70008", "AADSTS700082", "AADSTS70000"},
		fault.Unauthenticated, "The sign-in was no longer valid when it came back.", "Start again.",
	},
	{
		[]string{
			"AADSTS7000215", "AADSTS7000222", "AADSTS7000112", "AADSTS700016", "AADSTS700027", "AADSTS700024",
			"AADSTS700211", "AADSTS700213", "AADSTS70021", "AADSTS50011",
		},
		fault.Unavailable, "Microsoft refuses the console's own registration or credential.",
		"An administrator has to look at the app registration and the console's credential.",
	},
}

// refused makes the fault of a sign-in that Microsoft did not complete, from its AADSTS number and OAuth error.
func refused(code, oauth string, cause error) *fault.Error {
	f := fault.Wrap(fault.Unauthenticated, "Microsoft did not complete the sign-in.", cause)
	f.Fix = "Start again. If it happens again, give the number to an administrator."
	if code == "" {
		f.Fix = "Start again."
	}
	if code == "" && oauth == "access_denied" {
		f.Message = "The sign-in was cancelled."
	}
	for _, w := range signInWords {
		if slices.Contains(w.codes, code) {
			f.Kind, f.Message, f.Fix = w.kind, w.message, w.fix
		}
	}
	if code != "" {
		f.Message += " (" + code + ")"
	}
	return f
}

// redeemFault makes the fault of a code that could not be redeemed.
func redeemFault(err error) *fault.Error {
	err = sanitise(err)
	if e, ok := errors.AsType[*entraError](err); ok {
		if slices.Contains(interactive, e.OAuth) || e.Status < 500 && e.Status != 429 {
			return refused(e.Code, e.OAuth, e)
		}
		return entraFault(e)
	}
	if errors.Is(err, errDeclined) {
		f := fault.Wrap(fault.Forbidden, "The console has not been granted a permission that it needs.", err)
		f.Fix = "Ask an administrator to grant admin consent for the console's app registration."
		return f
	}
	return entraUnavailable(err)
}

// distrusted makes the fault of an answer that came from Microsoft's address but does not fit the sign-in.
func distrusted(why string) *fault.Error {
	f := fault.Wrap(fault.Unauthenticated, "The sign-in was refused: Microsoft's answer does not fit the question.",
		errors.New(why))
	f.Fix = "Start again. If it happens again, tell an administrator."
	return f
}
