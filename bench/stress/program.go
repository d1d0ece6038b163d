//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// program is this binary as the program under stress, in its own process. It reads
// questions from its standard input and writes answers to its standard output, one
// line each.
type program struct {
	kind *kind
	opts oneshot.Options
	seed uint64

	// The goroutines of the program hold the read lock for each small piece of work.
	// While the write lock is held, the program is at rest.
	going sync.RWMutex
}

// handled are the signals that a program handles, if it handles signals.
var handled = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

// handledStatus is the exit status of a program after a handled signal.
const handledStatus = 3

// programMain is main in the program.
func programMain(args []string) {
	flags := flag.NewFlagSet("program", flag.ExitOnError)
	name := flags.String("kind", "", "")
	path := flags.String("path", "", "")
	trigger := flags.String("trigger", "", "")
	seed := flags.Uint64("seed", 0, "")
	cHandlers := flags.Bool("c-handlers", false, "")
	_ = flags.Parse(args) // ExitOnError
	p := &program{kind: kindNamed(*name), seed: *seed}
	p.opts = oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: *path, TriggerFile: *trigger}
	if p.kind.options != nil {
		p.kind.options(&p.opts)
	}
	if _, err := p.install(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *cHandlers && !haveCHandlers(*seed) {
		fmt.Fprintln(os.Stderr, "the thread of C code did not start")
		os.Exit(1)
	}
	if p.kind.begin != nil {
		p.kind.begin(p)
	}
	if p.kind.ending == nil {
		p.answer()
	}
	go p.answer()
	p.kind.ending(p)
	p.exit(handledStatus)
}

func (p *program) install() (*oneshot.Manhole, error) {
	if !p.kind.fromEnv {
		return oneshot.Install(p.opts)
	}
	if err := os.Setenv("ONESHOT", fmt.Sprintf("socket_path=%q", p.opts.SocketPath)); err != nil {
		return nil, err
	}
	return oneshot.InstallFromEnv()
}

// exit ends the program properly.
func (p *program) exit(status int) {
	p.going.Lock() // so no new work begins
	if m := oneshot.Installed(); m != nil {
		_ = m.Uninstall() // it is
	}
	os.Exit(status)
}

// The following methods are the ways to wait for the end. Each prints that the
// program is ready.

func (p *program) untilSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, handled...)
	fmt.Println("ready")
	<-c
}

// untilContext stops listening when it has the signal. A second signal would kill
// the program, but there is only one.
func (p *program) untilContext() {
	ctx, stop := signal.NotifyContext(context.Background(), handled...)
	fmt.Println("ready")
	<-ctx.Done()
	stop()
	time.Sleep(2 * time.Millisecond) // during this time, a guess about who handles the signal would be wrong
}

func (p *program) untilWait() {
	ctx, stop := signal.NotifyContext(context.Background(), handled...) // for a signal that comes before Wait
	defer stop()
	fmt.Println("ready")
	sig, err := oneshot.Installed().Wait(ctx, handled...)
	if sig == nil && ctx.Err() == nil && !errors.Is(err, oneshot.ErrNotInstalled) { // unless exit has uninstalled the manhole
		slog.Error("Wait", "err", err)
		os.Exit(1)
	}
}

func (p *program) untilHandle() {
	m := oneshot.Installed()
	own, ends := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(own, m.Signals()...)
	signal.Notify(ends, handled...)
	fmt.Println("ready")
	for {
		select {
		case sig := <-own:
			if !m.Handle(sig) && oneshot.Installed() == m { // otherwise exit has begun
				slog.Error("Handle took it for another's", "signal", sig)
				os.Exit(1)
			}
		case sig := <-ends:
			if m.Handle(sig) {
				slog.Error("Handle took it for its own", "signal", sig)
				os.Exit(1)
			}
			return
		}
	}
}

// answer answers questions until the input ends: the parent has ended, or wants the
// program to exit by itself.
func (p *program) answer() {
	if p.kind.ending == nil {
		fmt.Println("ready")
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "count":
			fmt.Println(p.count())
		case "oneshot":
			if m := oneshot.Installed(); m != nil {
				go func() { _ = m.Oneshot(context.Background()) }() // the client notices an error
			}
			fmt.Println("ok")
		case "deactivate":
			if m := oneshot.Installed(); m != nil {
				m.Deactivate()
			}
			fmt.Println("ok")
		case "again":
			self, err := os.Executable()
			if err == nil {
				err = syscall.Exec(self, os.Args, os.Environ())
			}
			slog.Error("exec", "err", err)
			os.Exit(1)
		default:
			slog.Error("unknown question", "text", in.Text())
			os.Exit(1)
		}
	}
	p.exit(0)
}

// count stops the work in the program and counts what it has. A churning program
// has no manhole and no session during this time.
func (p *program) count() string {
	p.going.Lock()
	defer p.going.Unlock()
	if strings.HasPrefix(p.kind.name, "churn") {
		if m := oneshot.Installed(); m != nil {
			_ = m.Uninstall() // nobody else can
			_ = m.Drain(context.Background())
		}
	}
	return fmt.Sprint(runtime.NumGoroutine(), entries("/proc/self/fd"), entries("/proc/self/task"))
}

func entries(dir string) int {
	all, err := os.ReadDir(dir)
	if err != nil {
		slog.Error("count", "err", err)
		os.Exit(1)
	}
	return len(all)
}

// repeat calls f again and again on n goroutines, except while the program must be
// at rest.
func (p *program) repeat(n int, f func(i int)) {
	for i := range n {
		go func() {
			for {
				p.going.RLock()
				f(i)
				p.going.RUnlock()
			}
		}()
	}
}

var sink [4]any

func (p *program) compute() {
	p.repeat(2, func(i int) {
		x := uint64(i) + 1
		for range 100_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		sink[i] = x
	})
}

func (p *program) litter() {
	p.repeat(2, func(i int) {
		s := make([][]byte, 100)
		for j := range s {
			s[j] = make([]byte, 10_000)
		}
		sink[i] = s
		if i == 0 {
			runtime.GC()
		}
	})
}

func (p *program) park() {
	for range 2000 {
		go func() { select {} }()
	}
}

// haveChildren starts child processes that end soon.
func (p *program) haveChildren() {
	p.repeat(2, func(int) {
		if err := exec.Command("sleep", "0.01").Run(); err != nil {
			slog.Error("a child failed", "err", err)
			p.going.RUnlock()
			p.exit(1)
		}
	})
}
