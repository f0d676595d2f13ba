//go:build !nosimulator

package main

import (
	"context"
	"flag"
	"io"

	"evict/internal/app"
)

func demo(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	var o app.DemoOptions
	f := flag.NewFlagSet("evict demo", flag.ContinueOnError)
	f.StringVar(&o.Listen, "listen", "localhost:8080", "address of the console")
	f.StringVar(&o.Simulator, "simulator", "localhost:8081", "address of the simulator's pages")
	f.StringVar(&o.SimulatorTLS, "simulator-tls", "localhost:8443", "address of the simulator's sign-in service and Graph")
	f.IntVar(&o.People, "people", 500, "people in the simulated tenant")
	f.Uint64Var(&o.Seed, "seed", 1, "makes the tenant: the same seed gives the same people")
	f.DurationVar(&o.Latency, "latency", 0, "added to each answer of Graph, such as 150ms")
	f.DurationVar(&o.Lag, "lag", 0, "how long Graph goes on showing the old value after a revocation")
	f.StringVar(&o.Data, "data", "", "folder that keeps the ledger between demos; by default nothing is kept")
	if err := parse(f, args, stderr); err != nil {
		return err
	}
	o.Environ, o.Out, o.Logger = environ, stdout, newLogger(stderr, logLevel(environ))
	return app.Demo(ctx, o)
}
