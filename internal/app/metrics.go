package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// gauge is one measurement as Prometheus reads it.
type gauge struct {
	name, help string
	value      float64
}

// gauges measures how the ledger stands. They name nobody.
func (a *App) gauges(ctx context.Context) ([]gauge, error) {
	head, err := a.db.Ledger().Head(ctx)
	if err != nil {
		return nil, err
	}
	faults, err := a.notary.Faults(ctx)
	if err != nil {
		return nil, err
	}
	s := a.notary.Standing()
	var signedAt, unkept float64
	if !s.SignedAt.IsZero() {
		signedAt = float64(s.SignedAt.UnixMilli()) / 1000
	}
	if s.Unkept != "" {
		unkept = 1
	}
	return []gauge{
		{"evict_ledger_events", "Events in the ledger.", float64(head.Size)},
		{"evict_ledger_signed_events", "Events that the newest checkpoint covers.", float64(s.Signed.Size)},
		{"evict_ledger_signed_timestamp_seconds", "When the newest checkpoint was signed; 0 when there is none.", signedAt},
		{"evict_ledger_problems", "What is wrong with new events, and what the last verification found; 0 is fine.",
			float64(len(s.Problems) + faults)},
		{"evict_ledger_checkpoint_unkept", "1 when the newest checkpoint could not be written outside the database.", unkept},
	}, nil
}

// serveMetrics serves /metrics at EVICT_METRICS_LISTEN, when that is set, until stop is called.
func (a *App) serveMetrics(ctx context.Context) (stop func(), err error) {
	if a.cfg.MetricsListen == "" {
		return func() {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("EVICT_METRICS_LISTEN: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics())
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("serving metrics", "error", err)
		}
	}()
	a.log.Info("metrics", "address", l.Addr().String())
	return func() { _ = s.Close(); <-done }, nil
}

// collector hands the gauges to Prometheus.
type collector struct{ app *App }

// Describe implements prometheus.Collector: what is measured is known when it is.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauges, err := c.app.gauges(ctx)
	if err != nil {
		c.app.log.Warn("measuring the ledger", "error", err)
		out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), errors.New("the ledger could not be read"))
		return
	}
	for _, g := range gauges {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(g.name, g.help, nil, nil), prometheus.GaugeValue, g.value)
	}
}

// metrics answers in Prometheus' formats, from a registry of its own.
func (a *App) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{a}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)})
}
