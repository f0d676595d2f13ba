package auth_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evict/internal/auth"
)

func TestSealKeysRotate(t *testing.T) {
	t.Parallel()
	oldLine, _ := auth.GenerateSealKey("old")
	newLine, _ := auth.GenerateSealKey("new")
	parse := func(s string) *auth.SealKeys {
		k, err := auth.ParseSealKeys([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	before, during, after := parse(oldLine), parse("# rotated\n\n"+newLine+"\n"+oldLine+"\n"), parse(newLine)
	sealed, err := before.Seal("p", []byte("x"), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := during.Open("p", sealed, "a", "b"); err != nil || string(got) != "x" {
		t.Errorf("with both keys: got %q, %v", got, err)
	}
	if _, err := after.Open("p", sealed, "a", "b"); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("with the new key alone: got %v", err)
	}
	again, _ := during.Seal("p", []byte("x"), "a", "b")
	if _, err := after.Open("p", again, "a", "b"); err != nil {
		t.Errorf("the first key does not seal: %v", err)
	}
}

func TestSealedDataOpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	k := sealKeys(t, "k")
	sealed, _ := k.Seal("p", []byte("x"), "ab", "c")
	for name, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return k.Open("q", sealed, "ab", "c") },
		"another place":   func() ([]byte, error) { return k.Open("p", sealed, "ab", "d") },
		"shifted":         func() ([]byte, error) { return k.Open("p", sealed, "a", "bc") },
		"joined":          func() ([]byte, error) { return k.Open("p", sealed, "abc") },
		"no place":        func() ([]byte, error) { return k.Open("p", sealed) },
		"another key":     func() ([]byte, error) { return sealKeys(t, "k").Open("p", sealed, "ab", "c") },
		"nothing":         func() ([]byte, error) { return k.Open("p", nil, "ab", "c") },
	} {
		if got, err := open(); !errors.Is(err, auth.ErrSealed) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestSealKeyFileIsReadStrictly(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	for name, text := range map[string]string{
		"empty":      "# nothing\n",
		"short":      "a " + base64.StdEncoding.EncodeToString([]byte("short")),
		"zeros":      "a " + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"twice":      "a " + key + "\na " + key,
		"no name":    key,
		"bad name":   "A! " + key,
		"third word": "a " + key + " x",
		"not base64": "a " + strings.Repeat("!", 44),
	} {
		_, err := auth.ParseSealKeys([]byte(text))
		if err == nil {
			t.Errorf("%s: got no error", name)
		} else if strings.Contains(err.Error(), key) {
			t.Errorf("%s: the key is in the error", name)
		}
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("a "+key+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := auth.LoadSealKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(got, "kkk") || strings.Contains(got, "107") {
		t.Errorf("a key is printed: %s", got)
	}
	if _, err := auth.LoadSealKeys(path + "x"); err == nil {
		t.Error("a file that is not there: got no error")
	}
}

func FuzzParseSealKeys(f *testing.F) {
	f.Add([]byte("a AAAA\n#x\n"))
	f.Add([]byte("k " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := auth.ParseSealKeys(b)
		if err != nil {
			return
		}
		sealed, err := k.Seal("p", b, "x")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Open("p", sealed, "x"); err != nil || string(got) != string(b) {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}
