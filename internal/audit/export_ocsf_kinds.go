package audit

// ocsfClass is the number of a class: the number of its category, a thousand times, and its own.
type ocsfClass int

// The classes that are used, all of the category Identity & Access Management.
const (
	ocsfAccountChange    ocsfClass = 3001
	ocsfAuthentication   ocsfClass = 3002
	ocsfEntityManagement ocsfClass = 3004
)

func (c ocsfClass) String() string {
	switch c {
	case ocsfAccountChange:
		return "Account Change"
	case ocsfAuthentication:
		return "Authentication"
	case ocsfEntityManagement:
		return "Entity Management"
	}
	return ""
}

// Activities, by their numbers in each class.
const (
	ocsfOther = 99 // also of the type of an entity, and of a status

	ocsfLogon  = 1
	ocsfLogoff = 2

	ocsfCreate  = 1
	ocsfRead    = 2
	ocsfUpdate  = 3
	ocsfDelete  = 4
	ocsfSuspend = 12
	ocsfResume  = 13
)

// No activity of Account Change is the end of a user's sessions, so it is Other, with a name of ours.
var ocsfActivities = map[ocsfClass]map[int]string{
	ocsfAccountChange:  {ocsfOther: "Other"},
	ocsfAuthentication: {ocsfLogon: "Logon", ocsfLogoff: "Logoff"},
	ocsfEntityManagement: {
		ocsfCreate: "Create", ocsfRead: "Read", ocsfUpdate: "Update", ocsfDelete: "Delete", ocsfSuspend: "Suspend",
		ocsfResume: "Resume", ocsfOther: "Other",
	},
}

// Severities, by their numbers. By the schema, low leaves it to the user whether to act, medium asks for action, and
// high for action at once.
const (
	ocsfInfo   = 1
	ocsfLow    = 2
	ocsfMedium = 3
	ocsfHigh   = 4
)

var ocsfSeverities = map[int]string{ocsfInfo: "Informational", ocsfLow: "Low", ocsfMedium: "Medium", ocsfHigh: "High"}

const (
	ocsfSuccess = "Success"
	ocsfFailure = "Failure"
)

// ocsfStatusID is the number of a status. A status in words of ours is Other.
func ocsfStatusID(status string) int {
	switch status {
	case ocsfSuccess:
		return 1
	case ocsfFailure:
		return 2
	}
	return ocsfOther
}

// ocsfKind is how a kind of event stands in OCSF.
type ocsfKind struct {
	class    ocsfClass
	activity int
	other    string // the activity's name when it is Other
	severity int
	status   string
	message  string
}

func (k ocsfKind) activityName() string {
	if k.activity == ocsfOther {
		return k.other
	}
	return ocsfActivities[k.class][k.activity]
}

// ocsfKindOf also knows events of kinds that a later version of the program wrote. Nothing but a proof is a success:
// neither an attempt, nor that Microsoft accepted one.
func ocsfKindOf(e Event) ocsfKind {
	k, ok := ocsfKinds[e.Kind]
	if !ok {
		return ocsfKind{ocsfEntityManagement, ocsfOther, string(e.Kind), ocsfInfo, "unknown kind", "An event of a kind that this version does not know"}
	}
	if e.Kind == LedgerVerified && e.Outcome != "intact" {
		k.severity, k.status, k.message = ocsfHigh, ocsfFailure, "The ledger was verified, and problems were found"
	}
	if e.Kind == Reconciled {
		switch e.Outcome {
		case Agrees:
		case Differs:
			k.severity, k.status, k.message = ocsfMedium, ocsfFailure, "The ledger was compared with Entra's own log, and they differ"
		default:
			k.severity, k.status, k.message = ocsfLow, "unclear", "The ledger was compared with Entra's own log; not all could be told"
		}
	}
	return k
}

const revokeSessions = "Revoke Sessions"

var ocsfKinds = map[Kind]ocsfKind{
	SignedIn:     {ocsfAuthentication, ocsfLogon, "", ocsfInfo, ocsfSuccess, "Signed in to the console"},
	SignedOut:    {ocsfAuthentication, ocsfLogoff, "", ocsfInfo, ocsfSuccess, "Signed out of the console"},
	SignInFailed: {ocsfAuthentication, ocsfLogon, "", ocsfLow, ocsfFailure, "A sign-in to the console failed"},
	SignInDenied: {ocsfAuthentication, ocsfLogon, "", ocsfLow, ocsfFailure, "Signed in at Microsoft, but has no console role"},

	TargetAttempted:   {ocsfAccountChange, ocsfOther, revokeSessions, ocsfInfo, "attempted", "About to revoke the user's sessions"},
	TargetAccepted:    {ocsfAccountChange, ocsfOther, revokeSessions, ocsfInfo, "accepted", "Microsoft accepted the revocation; not proven yet"},
	TargetConfirmed:   {ocsfAccountChange, ocsfOther, revokeSessions, ocsfInfo, ocsfSuccess, "Read back: the user's earlier sessions are no longer valid"},
	TargetUnconfirmed: {ocsfAccountChange, ocsfOther, revokeSessions, ocsfMedium, "unconfirmed", "The revocation could not be proven"},
	TargetNotCovered:  {ocsfAccountChange, ocsfOther, revokeSessions, ocsfLow, "not covered", "An external account: its home tenant keeps the session"},
	TargetRefused:     {ocsfAccountChange, ocsfOther, revokeSessions, ocsfMedium, ocsfFailure, "Microsoft refused the revocation"},
	TargetFailed:      {ocsfAccountChange, ocsfOther, revokeSessions, ocsfMedium, ocsfFailure, "The revocation failed"},
	TargetSkipped:     {ocsfAccountChange, ocsfOther, revokeSessions, ocsfLow, "skipped", "The user was not attempted further"},
	OutsideAction:     {ocsfAccountChange, ocsfOther, revokeSessions, ocsfInfo, "recorded by hand", "A revocation done without Evict, recorded by hand"},

	PlanPreviewed: {ocsfEntityManagement, ocsfCreate, "", ocsfInfo, ocsfSuccess, "A list of users was made; nothing is revoked by it"},
	PlanCreated:   {ocsfEntityManagement, ocsfCreate, "", ocsfInfo, ocsfSuccess, "A plan to revoke sessions was made"},
	RunStarted:    {ocsfEntityManagement, ocsfCreate, "", ocsfInfo, ocsfSuccess, "A run of revocations began"},
	RunStopping:   {ocsfEntityManagement, ocsfUpdate, "", ocsfInfo, ocsfSuccess, "Somebody asked to pause or cancel a run"},
	RunPaused:     {ocsfEntityManagement, ocsfSuspend, "", ocsfLow, ocsfSuccess, "A run paused"},
	RunResumed:    {ocsfEntityManagement, ocsfResume, "", ocsfInfo, ocsfSuccess, "A run goes on"},
	RunCancelled:  {ocsfEntityManagement, ocsfOther, "Cancel", ocsfLow, ocsfSuccess, "A run was cancelled"},
	RunFinished:   {ocsfEntityManagement, ocsfOther, "Finish", ocsfInfo, ocsfSuccess, "A run finished: each of its users has an outcome"},

	SettingsChanged: {ocsfEntityManagement, ocsfUpdate, "", ocsfLow, ocsfSuccess, "The console's settings were changed"},

	LedgerOpened:      {ocsfEntityManagement, ocsfCreate, "", ocsfInfo, ocsfSuccess, "The ledger was opened, for one tenant"},
	LedgerKey:         {ocsfEntityManagement, ocsfUpdate, "", ocsfLow, ocsfSuccess, "The ledger has a new key for its checkpoints"},
	LedgerExported:    {ocsfEntityManagement, ocsfRead, "", ocsfInfo, ocsfSuccess, "Data was exported"},
	LedgerVerified:    {ocsfEntityManagement, ocsfOther, "Verify", ocsfInfo, ocsfSuccess, "The ledger was verified: intact"},
	Reconciled:        {ocsfEntityManagement, ocsfOther, "Reconcile", ocsfInfo, ocsfSuccess, "The ledger was compared with Entra's own log: they agree"},
	LedgerRollback:    {ocsfEntityManagement, ocsfOther, "Accept Rollback", ocsfHigh, ocsfSuccess, "A ledger that contradicts its last checkpoint was accepted"},
	LedgerUnwitnessed: {ocsfEntityManagement, ocsfOther, "Start", ocsfMedium, ocsfSuccess, "A console began without a checkpoint outside its database"},
	LedgerRemoved:     {ocsfEntityManagement, ocsfDelete, "", ocsfMedium, ocsfSuccess, "Retention removed events; their hashes stay"},
}
