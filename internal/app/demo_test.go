package app_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"evict/internal/app"
	"evict/internal/browsertest"
	"evict/internal/entrasim"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// demo is the whole product on a simulated tenant, as "server demo" starts it, on free ports.
type demo struct {
	*app.RunningDemo
	t    *testing.T
	cast entrasim.Cast
	log  *logBuffer
}

// logBuffer keeps what was logged, for tests that look for what must not be in it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *logBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func startDemo(t *testing.T, change ...func(*app.DemoOptions, *app.Options)) *demo {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	log := &logBuffer{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := app.DemoOptions{Simulator: "localhost:0", SimulatorTLS: "localhost:0", People: 120, Seed: 7, Logger: logger}
	ao := app.Options{Logger: logger}
	for _, c := range change {
		c(&o, &ao)
	}
	d, err := app.StartDemo(t.Context(), o, "http://localhost:"+port, ao)
	if err != nil {
		t.Fatalf("starting the demo: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.App.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("closing the demo: %v", err)
		}
		if t.Failed() && testing.Verbose() {
			t.Log(log.String())
		}
	})
	return &demo{RunningDemo: d, t: t, cast: d.Sim.Cast(), log: log}
}

// tab is a browser of one person.
type tab struct {
	d        *demo
	t        *testing.T
	ctx      context.Context
	problems *browsertest.Problems
}

// What hangs is told by the step that hangs: stepLimit is for one. tabLimit is for a whole test, of which the longest
// takes 50 s on a quiet machine and several times that on a loaded one.
const (
	tabLimit  = 5 * time.Minute
	stepLimit = time.Minute
)

func (d *demo) tab() *tab {
	d.t.Helper()
	ctx := browsertest.Start(d.t, tabLimit)
	problems, err := browsertest.Watch(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	return &tab{d: d, t: d.t, ctx: ctx, problems: problems}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.where())
	}
}

// await waits until a JavaScript condition holds, over as many navigations as it takes.
func (b *tab) await(condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	var err error
	for ; ctx.Err() == nil; time.Sleep(30 * time.Millisecond) {
		var holds bool
		if holds, err = chromedp.Run(ctx, chromedp.Evaluate[bool](`!!document.body && (`+condition+`)`)); err == nil && holds {
			return
		}
	}
	b.t.Fatalf("waiting for %s: %v\n%s", condition, err, b.where())
}

func (b *tab) open(path string) {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.d.BaseURL + path
	}
	b.do(chromedp.Navigate(path))
}

func (b *tab) text() string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		b.t.Fatalf("reading the page: %v", err)
	}
	return s
}

func (b *tab) where() string {
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText.slice(0, 1500)`))
	if err != nil {
		return err.Error()
	}
	return s
}

func (b *tab) path() string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.pathname`))
	if err != nil {
		b.t.Fatalf("reading the address: %v", err)
	}
	return s
}

// says waits until the page shows a text.
func (b *tab) says(text string) {
	b.t.Helper()
	b.await(`document.body && document.body.innerText.toLowerCase().includes(` + quote(strings.ToLower(text)) + `)`)
}

// click presses the first button or link with these words.
func (b *tab) click(words string) {
	b.t.Helper()
	found := `[...document.querySelectorAll("button, a")].find(e => e.innerText.trim().startsWith(` + quote(words) + `))`
	b.await(`!!` + found)
	b.do(chromedp.Evaluate[chromedp.Void](found + `.click()`))
}

func (b *tab) fill(id, text string) {
	b.t.Helper()
	b.await(`!!document.getElementById(` + quote(id) + `)`)
	b.do(chromedp.Evaluate[chromedp.Void](`document.getElementById(` + quote(id) + `).value = ` + quote(text)))
}

func (b *tab) value(id string) string {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.getElementById(`+quote(id)+`).value`))
	if err != nil {
		b.t.Fatalf("reading field %s: %v", id, err)
	}
	return v
}

// withoutBrowserChecks lets a form be sent that the browser itself would hold back, so that the server must answer.
func (b *tab) withoutBrowserChecks() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("form").forEach(f => { f.noValidate = true })`))
}

// choose signs in as a person on the simulator's page.
func (b *tab) choose(p entrasim.Person) {
	b.t.Helper()
	b.await(`!!document.querySelector("button.person")`)
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('button.person[value="` + p.ID + `"]').click()`))
}

func (b *tab) signIn(p entrasim.Person) {
	b.t.Helper()
	b.open("/")
	b.click("Sign in with Microsoft")
	b.choose(p)
	b.await(`location.origin === ` + quote(b.d.BaseURL) + ` && location.pathname !== "/auth/callback"`)
}

// clean fails the test for every policy violation, console error and axe finding on this page, in both themes and widths.
func (b *tab) clean(name string, shoot func(name string, png []byte)) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			b.view(theme, width)
			found, err := browsertest.Axe(b.ctx)
			if err != nil {
				b.t.Fatalf("%s: %v", name, err)
			}
			for _, line := range found {
				b.t.Errorf("%s, %s, %d wide: %s", name, theme, width, line)
			}
			if wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)); err != nil || wide {
				b.t.Errorf("%s, %s, %d wide: the page scrolls sideways (%v)", name, theme, width, err)
			}
			if shoot != nil {
				png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				if err != nil {
					b.t.Fatalf("%s: %v", name, err)
				}
				shoot(name+"-"+theme+"-"+map[int64]string{1280: "1280", 390: "390"}[width], png)
			}
		}
	}
	b.view("light", 1280)
	for _, p := range b.problems.List() {
		if !strings.Contains(p, "status of 422") { // an invalid form is answered so, and the browser logs it
			b.t.Errorf("%s: the browser reported: %s", name, p)
		}
	}
}

func (b *tab) view(theme string, width int64) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		},
	})
	if err == nil {
		_, err = chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: map[int64]int64{1280: 800, 390: 844}[width], DeviceScaleFactor: 1, Mobile: width < 500,
		})
	}
	if err != nil {
		b.t.Fatalf("setting the view: %v", err)
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// typing sends keys to a field, as search as you type needs.
func typing(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(selector, text)
}
