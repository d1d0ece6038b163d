//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bridge"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// profiledProgram returns the program that the arguments name, which must have a manhole.
// There may be at most most arguments.
func profiledProgram(name string, c *connectFlags, rest []string, most int) (*profiled, error) {
	o, err := c.options()
	switch {
	case err != nil:
		return nil, err
	case o.outside:
		return nil, usageError{name + ": a profile needs the help of the program, so -outside is not possible"}
	case len(rest) == 0:
		return nil, usageError{name + ": give a process; oneshot ps lists those with a manhole"}
	case len(rest) > most:
		return nil, usageError{fmt.Sprintf("%s: unexpected argument %.40q; oneshot help %s says more", name, rest[most], name)}
	}
	t, err := parseTarget(rest[0])
	if err != nil {
		return nil, err
	}
	process, is, err := readFromOutside(t, o)
	switch {
	case err != nil:
		return nil, err
	case is:
		return nil, fmt.Errorf("process %d (%s) has no manhole, so nobody can ask it for a profile; %s", process.PID, process.Name, instead["profile"])
	}
	_, known, err := t.find(o) // wrong targets fail now, and not at the first request
	if err != nil {
		return nil, err
	}
	p := &profiled{
		target: t, options: o,
		slots: make(chan struct{}, maxCommands), waiting: make(chan struct{}, maxWaiting), connecting: make(chan struct{}, 1),
	}
	if known != nil {
		p.pid, p.start = known.PID, known.Start
	}
	return p, nil
}

// A program has at most 8 sessions. Some are left for people.
const (
	maxCommands = 4
	maxWaiting  = 64
)

// profiled is a program that runs a command for each request.
type profiled struct {
	target     target
	options    connectOptions
	pid        int // 0: not known
	start      uint64
	slots      chan struct{} // one for each running command
	waiting    chan struct{} // one for each request that has not ended
	connecting chan struct{} // one for the request that opens a window: others would take its place

	mu     sync.Mutex    // guards the fields below
	warm   *net.UnixConn // a session that waits for its command; nil: none
	cold   *time.Timer   // closes it
	shut   bool          // no session is kept any more
	wanted bool          // a command has run since the last session was opened for the next one
}

// untilEnd returns a context that ends when a signal or the end of the process ends the
// command. Its cause is errStopped or says that the process has ended.
func (p *profiled) untilEnd() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	tick := time.NewTicker(time.Second)
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				cancel(errStopped)
			case <-tick.C:
				if p.hasEnded() {
					cancel(errHasEnded(p.pid))
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(errStopped)
	}
}

// hasEnded reports whether the process has ended.
func (p *profiled) hasEnded() bool { return p.pid != 0 && processEnded(p.pid, p.start) }

// processEnded reports whether a process has ended, even if its parent has not waited for
// it.
func processEnded(pid int, start uint64) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	now, err := procfs.StartTime(dir)
	if err != nil || now != start {
		return true
	}
	main, err := procfs.ReadThread(dir)
	return err != nil || main.State == 'Z' || main.State == 'X'
}

// Run implements bridge.Program.
func (p *profiled) Run(ctx context.Context, w io.Writer, words ...string) error {
	err := p.run(ctx, w, words...)
	if err == nil || !isCPUProfile(words) || !isCPUBusy(err.Error()) {
		return err
	}
	// The remark is in the profile too.
	_, err = cpuSamples(w, words, func(w io.Writer, words ...string) error { return p.run(ctx, w, words...) })
	return err
}

// run runs a command.
func (p *profiled) run(ctx context.Context, w io.Writer, words ...string) error {
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		return bridge.ErrBusy
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	conn, err := p.session(ctx)
	if err != nil {
		return asTimeout(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := p.command(conn, w, commandLine(words)); err != nil {
		return err
	}
	p.mu.Lock()
	p.wanted = true
	p.mu.Unlock()
	return nil
}

// command sends a line and reads the answer.
func (p *profiled) command(conn *net.UnixConn, w io.Writer, line string) error {
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return fmt.Errorf("%s: %w", p.target, err)
	}
	var errs bytes.Buffer
	status, err := readAnswer(conn, w, &limited{w: &errs, left: maxErrorText}, new(display.Progress))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", p.target, err)
	case status != 0:
		return &bridge.CommandError{Text: strings.TrimSpace(errs.String())}
	}
	return nil
}

// asTimeout marks the error of a program that does not answer.
func asTimeout(err error) error {
	var status statusError
	if errors.As(err, &status) && status.status == statusTimeout {
		return &bridge.TimeoutError{Err: err}
	}
	return err
}

// CommandLine implements bridge.Program.
func (p *profiled) CommandLine() ([]byte, error) {
	if p.pid == 0 {
		return nil, fmt.Errorf("%s: its process is not known", p.target)
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/cmdline")
	if p.hasEnded() {
		err = errHasEnded(p.pid)
	}
	return bytes.TrimSuffix(text, []byte{0}), err
}
