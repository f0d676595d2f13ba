package app_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evict/internal/app"
	"evict/internal/audit"
)

func TestADemoThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	begin := func(o app.DemoOptions) error {
		o.Seed, o.People, o.SimulatorTLS, o.Logger = 7, 100, "localhost:0", slog.New(slog.DiscardHandler)
		d, err := app.StartDemo(t.Context(), o, "http://localhost:1", app.Options{Logger: o.Logger})
		if err == nil {
			return errors.Join(d.App.Close(), d.Close())
		}
		if d != nil {
			t.Error("a demo came back beside the error")
		}
		return err
	}
	if err := begin(app.DemoOptions{Simulator: taken.Addr().String()}); err == nil || !strings.Contains(err.Error(), "starting the simulator") {
		t.Errorf("an address that is taken: got %v", err)
	}
	kept := t.TempDir()
	if err := begin(app.DemoOptions{Simulator: "localhost:0", Data: kept}); err != nil {
		t.Fatal(err)
	}
	secret, _, err := audit.GenerateKey("other")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(kept, "demo-ledger.key"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := begin(app.DemoOptions{Simulator: "localhost:0", Data: kept}); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("another ledger key: got %v", err)
	}
}
