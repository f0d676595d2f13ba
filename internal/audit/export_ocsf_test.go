package audit_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"evict/internal/audit"
)

// schema is what testdata/ocsf-1.8.0.json has of the published schema.
type schema struct {
	Tag     string                `json:"tag"`
	Classes map[string]schemaPart `json:"classes"`
	Objects map[string]schemaPart `json:"objects"`
	Types   map[string]string     `json:"types"` // a type, and the primitive one that it is
}

type schemaPart struct {
	Caption      string                       `json:"caption"`
	CategoryUID  float64                      `json:"category_uid"`
	CategoryName string                       `json:"category_name"`
	Required     []string                     `json:"required"`
	AtLeastOne   []string                     `json:"at_least_one"`
	Attributes   map[string]string            `json:"attributes"` // names and types, of lists with []
	Enums        map[string]map[string]string `json:"enums"`      // attributes, their numbers, and what these are called
}

func readSchema(tb testing.TB) (s schema) {
	tb.Helper()
	text, err := os.ReadFile("testdata/ocsf-1.8.0.json")
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		tb.Fatal(err)
	}
	return s
}

// event says what is wrong with an event.
func (s schema) event(e map[string]any) (wrong []string) {
	class, ok := s.Classes[fmt.Sprint(e["class_uid"])]
	if !ok {
		return []string{fmt.Sprintf("class %v", e["class_uid"])}
	}
	wrong = s.part("", class, e)
	activity, _ := e["activity_id"].(float64)
	uid, _ := e["class_uid"].(float64)
	for name, want := range map[string]any{
		"class_name": class.Caption, "category_uid": class.CategoryUID, "category_name": class.CategoryName, "type_uid": uid*100 + activity,
		"type_name": class.Caption + ": " + class.Enums["activity_id"][fmt.Sprint(activity)],
	} {
		if e[name] != want {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", name, e[name], want))
		}
	}
	return wrong
}

func (s schema) part(at string, p schemaPart, o map[string]any) (wrong []string) {
	for _, name := range p.Required {
		if v, ok := o[name]; !ok || v == "" {
			wrong = append(wrong, at+name+" is required")
		}
	}
	if len(p.AtLeastOne) > 0 && !slices.ContainsFunc(p.AtLeastOne, func(name string) bool { return o[name] != nil && o[name] != "" }) {
		wrong = append(wrong, fmt.Sprintf("%s has none of %v", at, p.AtLeastOne))
	}
	for name, v := range o {
		typ, ok := p.Attributes[name]
		if !ok {
			wrong = append(wrong, at+name+" is not in the schema")
			continue
		}
		wrong = append(wrong, s.value(at+name, typ, v)...)
		if enum := p.Enums[name]; enum != nil {
			wrong = append(wrong, enumerated(at+name, enum, v, o[sibling(name)])...)
		}
	}
	return wrong
}

// sibling is the attribute that has an enumerated one's words.
func sibling(name string) string {
	if name == "activity_id" {
		return "activity_name"
	}
	return strings.TrimSuffix(name, "_id")
}

// enumerated: a number of the enum, with its name beside it; Other is named by the source.
func enumerated(at string, enum map[string]string, number, words any) []string {
	caption, ok := enum[fmt.Sprint(number)]
	switch {
	case !ok:
		return []string{fmt.Sprintf("%s is %v", at, number)}
	case caption == "Other" && words != "" && words != nil, words == caption:
		return nil
	}
	return []string{fmt.Sprintf("%s is %v (%s), and beside it stands %v", at, number, caption, words)}
}

func (s schema) value(at, typ string, v any) (wrong []string) {
	if one, ok := strings.CutSuffix(typ, "[]"); ok {
		list, ok := v.([]any)
		if !ok {
			return []string{at + " is not a list"}
		}
		for _, v := range list {
			wrong = append(wrong, s.value(at, one, v)...)
		}
		return wrong
	}
	if o, ok := v.(map[string]any); ok {
		if part, ok := s.Objects[typ]; ok {
			return s.part(at+".", part, o)
		}
		if typ == "object" { // of any form
			return nil
		}
	}
	_, isText := v.(string)
	number, isNumber := v.(float64)
	_, isAddress := netip.ParseAddr(fmt.Sprint(v))
	switch primitive := s.Types[typ]; {
	case primitive == "string_t" && isText && (typ != "ip_t" || isAddress == nil):
	case (primitive == "integer_t" || primitive == "long_t") && isNumber && number == float64(int64(number)):
	default:
		return []string{fmt.Sprintf("%s is %v, which is no %s", at, v, typ)}
	}
	return nil
}

func ocsf(tb testing.TB, e audit.Event) map[string]any {
	tb.Helper()
	b := &book{}
	b.add(tb, e)
	line := export(tb, b, audit.OCSF, b.manifest(audit.Query{}))
	var out map[string]any
	if err := json.Unmarshal([]byte(line), &out); err != nil || strings.Count(line, "\n") != 1 {
		tb.Fatalf("%v: %q", err, line)
	}
	return out
}

func TestEachKindIsAnEventOfThePublishedSchema(t *testing.T) {
	t.Parallel()
	s := readSchema(t)
	for _, kind := range append(audit.Kinds(), "of.tomorrow") {
		e := full()
		e.Kind = kind
		odd := e
		odd.Operator, odd.Target = &audit.Person{Name: "x", Address: "not an address"}, &audit.Person{Name: "x"}
		for name, e := range map[string]audit.Event{"full": e, "least": {Kind: kind}, "odd": odd} {
			got := ocsf(t, e)
			for _, wrong := range s.event(got) {
				t.Errorf("%s, %s: %s", kind, name, wrong)
			}
			if v := got["metadata"].(map[string]any)["version"]; v != s.Tag {
				t.Errorf("version %v, want %v", v, s.Tag)
			}
			if unknown := got["status"] == "unknown kind"; unknown != (kind == "of.tomorrow") {
				t.Errorf("%s has no place in the schema", kind)
			}
		}
	}
}

// The check itself can fail.
func TestTheSchemaIsHeldAgainstEachEvent(t *testing.T) {
	t.Parallel()
	s := readSchema(t)
	for name, spoil := range map[string]func(e map[string]any){
		"a required attribute":           func(e map[string]any) { delete(e, "time") },
		"the user":                       func(e map[string]any) { delete(e, "user") },
		"a user without any name":        func(e map[string]any) { e["user"] = map[string]any{"display_name": "x"} },
		"a required one of an object":    func(e map[string]any) { delete(e["metadata"].(map[string]any), "version") },
		"an attribute of our own":        func(e map[string]any) { e["leaf"] = "x" },
		"a text for a number":            func(e map[string]any) { e["time"] = "2026-11-05" },
		"a number that is none of those": func(e map[string]any) { e["severity_id"] = 7.0 },
		"words that are not the number":  func(e map[string]any) { e["severity"] = "Fatal" },
		"another class":                  func(e map[string]any) { e["class_uid"] = 3004.0 },
		"another activity":               func(e map[string]any) { e["activity_id"] = 1.0 },
		"no class":                       func(e map[string]any) { e["class_uid"] = 1.0 },
		"an address that is none":        func(e map[string]any) { e["src_endpoint"].(map[string]any)["ip"] = "x" },
	} {
		e := ocsf(t, full())
		if wrong := s.event(e); len(wrong) != 0 {
			t.Fatal(wrong)
		}
		if spoil(e); len(s.event(e)) == 0 {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestNothingOfAnEventIsLostInOCSF(t *testing.T) {
	t.Parallel()
	for _, kind := range audit.Kinds() {
		b := &book{}
		e := full()
		e.Kind = kind
		b.add(t, e)
		line := export(t, b, audit.OCSF, b.manifest(audit.Query{}))
		var of any
		if err := json.Unmarshal(b.bodies[0], &of); err != nil {
			t.Fatal(err)
		}
		for _, text := range texts(of) {
			var in any
			if err := json.Unmarshal([]byte(line), &in); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(texts(in), text) {
				t.Errorf("%s: %q is missing in %s", kind, text, line)
			}
		}
		if !strings.Contains(line, `"leaf_hash":"`+audit.LeafHash(b.bodies[0]).String()+`"`) {
			t.Errorf("%s: the leaf hash is missing", kind)
		}
	}
}

// texts are all texts and numbers in a JSON value.
func texts(v any) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, v := range v {
			out = append(out, texts(v)...)
		}
	case []any:
		for _, v := range v {
			out = append(out, texts(v)...)
		}
	default:
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func TestOnlyAProofIsASuccess(t *testing.T) {
	t.Parallel()
	for kind, want := range map[audit.Kind]string{
		audit.TargetAttempted: "attempted", audit.TargetAccepted: "accepted", audit.TargetConfirmed: "Success",
		audit.TargetUnconfirmed: "unconfirmed", audit.TargetNotCovered: "not covered", audit.TargetRefused: "Failure",
		audit.TargetFailed: "Failure", audit.TargetSkipped: "skipped", audit.OutsideAction: "recorded by hand",
		audit.SignedIn: "Success", audit.SignInFailed: "Failure", audit.SignInDenied: "Failure", audit.LedgerVerified: "Failure",
	} {
		e := full()
		e.Kind, e.Outcome = kind, "problems"
		if got := ocsf(t, e)["status"]; got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	e := full()
	if e.Kind, e.Outcome = audit.LedgerVerified, "intact"; ocsf(t, e)["status"] != "Success" {
		t.Error("an intact ledger is no success")
	}
}

func TestLogsThatDifferAskForAction(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[string][3]string{
		audit.Agrees:  {"Informational", "Success", "they agree"},
		audit.Differs: {"Medium", "Failure", "they differ"},
		audit.Unclear: {"Low", "unclear", "not all could be told"},
	} {
		e := full()
		e.Kind, e.Outcome = audit.Reconciled, outcome
		got := ocsf(t, e)
		if message, _ := got["message"].(string); got["severity"] != want[0] || got["status"] != want[1] || !strings.Contains(message, want[2]) {
			t.Errorf("%s: %v, %v, %q", outcome, got["severity"], got["status"], message)
		}
	}
}

func TestASessionThatARunEndedIsItsTargets(t *testing.T) {
	t.Parallel()
	e := full()
	e.Kind = audit.SignedOut
	got := ocsf(t, e)
	if who := got["user"].(map[string]any)["name"]; who != "bernd@contoso.example" {
		t.Errorf("user = %v", who)
	}
	if who := got["actor"].(map[string]any)["user"].(map[string]any)["name"]; who != "anna@contoso.example" {
		t.Errorf("actor = %v", who)
	}
	e.Target = nil
	if who := ocsf(t, e)["user"].(map[string]any)["name"]; who != "anna@contoso.example" {
		t.Errorf("user = %v, of somebody who signed out", who)
	}
}
