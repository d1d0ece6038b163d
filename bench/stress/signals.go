//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// names contains the names of the signals that are sent.
var names = map[syscall.Signal]string{
	syscall.SIGUSR2: "USR2", syscall.SIGUSR1: "USR1", syscall.SIGTERM: "TERM", syscall.SIGINT: "INT", syscall.SIGHUP: "HUP",
	syscall.SIGQUIT: "QUIT", syscall.SIGKILL: "KILL", syscall.SIGTSTP: "TSTP", syscall.SIGSTOP: "STOP", syscall.SIGCONT: "CONT",
}

func signalNames() (sorted []string) {
	for _, name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted
}

// send sends a signal. It does not matter if the program has ended.
func (p *process) send(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	p.tally.add("signal "+names[sig], 1)
}

// open asks the program for a window, in one of the ways that it supports.
func (p *process) open(r *rand.Rand) {
	switch way := r.IntN(6); {
	case p.kind.trigger && way < 4:
		p.note("trigger")
		if err := os.WriteFile(p.triggerFile, []byte(strconv.Itoa(p.pid())+"\n"), 0o600); err != nil && !p.ending.Load() {
			p.fail(noWindow, "writing the trigger file: %v", err)
		}
	case way == 5 && !p.ending.Load():
		p.note("Oneshot")
		p.ask("oneshot")
	case p.kind.name == "activate" && way < 3:
		p.note("USR1")
		p.send(syscall.SIGUSR1)
	default:
		p.note("USR2")
		p.send(syscall.SIGUSR2)
	}
}

// burst sends n signals as fast as it can.
func (p *process) burst(n int) {
	p.note("%d times USR2", n)
	for range n {
		_ = p.cmd.Process.Signal(syscall.SIGUSR2) // the program may have ended
	}
	p.tally.add("signal USR2", n)
}

// stop stops the program for a while, and sends signals during this time.
func (p *process) stop(r *rand.Rand) {
	sig := []syscall.Signal{syscall.SIGTSTP, syscall.SIGSTOP}[r.IntN(2)]
	p.note("%s, USR2, CONT", names[sig])
	p.send(sig)
	pause(r, 20*time.Millisecond)
	for range 1 + r.IntN(3) {
		p.send(syscall.SIGUSR2)
	}
	pause(r, 20*time.Millisecond)
	p.send(syscall.SIGCONT)
}

// pause waits for a random time up to most, so that the next action happens at a
// random moment.
func pause(r *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(r.Int64N(int64(most))))
}

// end is a way to end a program.
type end struct {
	signals []syscall.Signal
	asks    bool // the standard input is closed, and the program exits by itself
}

func (e end) String() string {
	if e.asks {
		return "the end of its input"
	}
	text := ""
	for _, sig := range e.signals {
		text += " " + names[sig]
	}
	return text[1:]
}

// ends contains the ways to end a program. One is chosen at random.
var ends = []end{
	{signals: []syscall.Signal{syscall.SIGTERM}},
	{signals: []syscall.Signal{syscall.SIGTERM}},
	{signals: []syscall.Signal{syscall.SIGINT}},
	{signals: []syscall.Signal{syscall.SIGHUP}},
	{signals: []syscall.Signal{syscall.SIGQUIT}},
	{signals: []syscall.Signal{syscall.SIGKILL}},
	{asks: true},
}

// leaves reports whether a socket may be left behind. After such a signal, no code
// of the program runs any more (see "What is not promised" in docs/reliability.md).
func (e end) leaves() bool {
	return !e.asks && (e.signals[0] == syscall.SIGKILL || e.signals[0] == syscall.SIGQUIT)
}

// wrong checks the status of a program that was ended in this way. It returns a
// description of what is wrong, or an empty string.
func (e end) wrong(k *kind, cHost bool, got syscall.WaitStatus) string {
	want := "exit status 0"
	ok := got.Exited() && got.ExitStatus() == 0
	if !e.asks {
		switch sig := e.signals[0]; {
		case sig == syscall.SIGQUIT && !cHost: // where Go is a library, it does not handle QUIT; the runtime prints the stacks and exits
			want, ok = "exit status 2", got.Exited() && got.ExitStatus() == 2
		case sig == syscall.SIGKILL || sig == syscall.SIGQUIT || k.ending == nil:
			want, ok = "death by "+names[sig], got.Signaled() && got.Signal() == sig
		default:
			want, ok = fmt.Sprintf("exit status %d", handledStatus), got.Exited() && got.ExitStatus() == handledStatus
		}
	}
	if ok {
		return ""
	}
	if got.Signaled() {
		return fmt.Sprintf("%s ended in death by signal %v, not %s", e, got.Signal(), want)
	}
	return fmt.Sprintf("%s ended in exit status %d, not %s", e, got.ExitStatus(), want)
}
