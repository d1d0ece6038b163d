//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// stuckTime is the longest time for a call that should return at once, or when its
// context ends.
const stuckTime = 25 * time.Second

// churn calls everything that a program can call, from many goroutines at random
// moments. Some errors are expected then. Any other error ends the program, and so
// does a call that does not return.
func (p *program) churn() {
	p.opts.Reinstall = true
	strict := p.opts
	strict.Reinstall = false
	undelayed := p.opts
	undelayed.ReinstallDelay = -1

	var r [6]*rand.Rand
	for i := range r {
		r[i] = rand.New(rand.NewPCG(p.seed, uint64(i)))
	}
	type call struct {
		name string
		do   func(ctx context.Context, m *oneshot.Manhole) error
		may  []error
	}
	uninstalled := []error{oneshot.ErrNotInstalled}
	calls := []call{
		{"Install", func(context.Context, *oneshot.Manhole) error { _, err := oneshot.Install(strict); return err }, []error{oneshot.ErrAlreadyInstalled}},
		{"Reinstall", func(context.Context, *oneshot.Manhole) error { _, err := oneshot.Install(undelayed); return err }, nil},
		{"Reinstall with delay", func(context.Context, *oneshot.Manhole) error { _, err := oneshot.Install(p.opts); return err }, nil},
		{"Uninstall", func(_ context.Context, m *oneshot.Manhole) error { return m.Uninstall() }, uninstalled},
		{"Activate", func(_ context.Context, m *oneshot.Manhole) error { return m.Activate() }, uninstalled},
		{"Deactivate", func(_ context.Context, m *oneshot.Manhole) error { m.Deactivate(); return nil }, nil},
		{"Drain", func(ctx context.Context, m *oneshot.Manhole) error { return m.Drain(ctx) }, []error{context.DeadlineExceeded}},
		{"Oneshot", func(ctx context.Context, m *oneshot.Manhole) error { return m.Oneshot(ctx) }, nil},
		{"Wait", func(ctx context.Context, m *oneshot.Manhole) error { _, err := m.Wait(ctx); return err },
			[]error{context.DeadlineExceeded, oneshot.ErrNotInstalled}},
		{"Handle", func(_ context.Context, m *oneshot.Manhole) error { m.Handle(syscall.SIGUSR2); return nil }, nil},
		{"Dump", func(context.Context, *oneshot.Manhole) error { return oneshot.Dump(discard{}, oneshot.DumpOptions{}) }, nil},
	}
	p.repeat(len(r), func(i int) {
		c := calls[r[i].IntN(len(calls))]
		m := oneshot.Installed()
		if m == nil {
			c = calls[r[i].IntN(3)]
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r[i].IntN(20_000))*time.Microsecond)
		defer cancel()
		watch := time.AfterFunc(stuckTime, func() {
			all := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "%s does not return\n%s", c.name, all[:runtime.Stack(all, true)])
			os.Exit(1)
		})
		defer watch.Stop()
		if err := c.do(ctx, m); err != nil && c.name != "Oneshot" && !isOneOf(err, c.may) {
			slog.Error("churn", "call", c.name, "err", err)
			os.Exit(1)
		}
		time.Sleep(time.Duration(r[i].IntN(3000)) * time.Microsecond)
	})
}

func isOneOf(err error, may []error) bool {
	for _, m := range may {
		if errors.Is(err, m) {
			return true
		}
	}
	return false
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
