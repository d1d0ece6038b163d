//go:build linux

package integration

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Programs whose own code changes what happens on the manhole's signals.

const (
	diedOfTERM = syscall.WaitStatus(syscall.SIGTERM)
	diedOfKILL = syscall.WaitStatus(syscall.SIGKILL)
	exited0    = syscall.WaitStatus(0)
	exited3    = syscall.WaitStatus(3 << 8)
)

// inEveryPhase runs a test in each phase.
func inEveryPhase(t *testing.T, f func(t *testing.T, ph phase)) {
	for _, ph := range phases {
		t.Run(string(ph), func(t *testing.T) {
			t.Parallel()
			f(t, ph)
		})
	}
}

// TestSignalResetAndIgnoreDisarmTheManhole requires that signal.Reset and signal.Ignore
// disarm the manhole and do no other harm. A new Install arms it again.
func TestSignalResetAndIgnoreDisarmTheManhole(t *testing.T) {
	for _, step := range []string{"reset", "reset USR2", "ignore USR2"} {
		t.Run(step, func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startSteps(t, "install")
				conn := p.enter(t, ph)
				p.take(t, step)
				if ph != closed { // an open window still works
					p.goesOn(t, ph, conn)
				}
				p.storm(1000) // the program does not die of them (os/signal, "Default behavior of signals in Go programs")
				p.take(t, "write")
				require.NoFileExists(t, p.path, "disarmed")

				p.take(t, "uninstall")
				p.take(t, "install")
				// One of the signals above may be delivered only now.
				require.Contains(t, p.session(t, "gc\nexit\n"), "collected in")
				p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				p.requireDead(t, diedOfTERM)
			})
		})
	}
}

// TestResetOfATerminatingSignal requires that the signal still removes the socket of an
// open window.
func TestResetOfATerminatingSignal(t *testing.T) {
	for _, steps := range [][]string{{"exit TERM", "install"}, {"install", "exit TERM"}} {
		t.Run(strings.Join(steps, ", "), func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startSteps(t, steps...)
				conn := p.enter(t, ph)
				p.take(t, "reset TERM")
				p.goesOn(t, ph, conn)
				p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				p.requireDead(t, bare(t, syscall.SIGTERM, "exit TERM", "reset TERM"))
			})
		})
	}
}

// TestIgnoredTerminatingSignals requires that ignored signals stay ignored in every phase,
// and that the manhole works on.
func TestIgnoredTerminatingSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		step := fmt.Sprintf("ignore %d", sig)
		for _, steps := range [][]string{{step, "install"}, {"install", step}} {
			t.Run(strings.Join(steps, ", "), func(t *testing.T) {
				inEveryPhase(t, func(t *testing.T, ph phase) {
					p := startSteps(t, steps...)
					conn := p.enter(t, ph)
					p.signal(t, sig)
					p.goesOn(t, ph, conn)
					conn = p.enter(t, ph)
					p.take(t, step) // again, in this phase
					p.signal(t, sig)
					p.goesOn(t, ph, conn)
					p.enter(t, ph)
					p.signal(t, syscall.SIGINT)
					p.requireDead(t, syscall.WaitStatus(syscall.SIGINT))
				})
			})
		}
	}
}

// TestAGracefulShutdown requires that a window can be opened during a shutdown. Neither the
// end of the shutdown nor a second signal, which ends the program, leaves a socket.
func TestAGracefulShutdown(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, twice %v", sig, again), func(t *testing.T) {
				inEveryPhase(t, func(t *testing.T, ph phase) {
					p := startSteps(t, "install", "graceful TERM,INT")
					conn := p.enter(t, ph)
					p.signal(t, sig)
					p.reports(t, "shutting down", 1)
					if ph != running {
						eventually(t, func() bool { _, err := os.Lstat(p.path); return os.IsNotExist(err) }, "the socket stays: %s", p.stderr)
						ph = closed
					}
					p.goesOn(t, ph, conn)
					p.open(t)
					if again {
						p.signal(t, sig)
						p.requireDead(t, syscall.WaitStatus(sig))
						return
					}
					_, err := io.WriteString(p.steps, "finish\n")
					require.NoError(t, err)
					p.requireDead(t, exited0)
				})
			})
		}
	}
}

// TestAProgramSubscribedToEverySignal is about signal.Notify without a list. The program
// gets the manhole's signals too, and those that the runtime sends to itself.
func TestAProgramSubscribedToEverySignal(t *testing.T) {
	for _, steps := range [][]string{{"notify", "install"}, {"install", "notify"}} {
		t.Run(strings.Join(steps, ", "), func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startSteps(t, steps...)
				conn := p.enter(t, ph)
				p.signal(t, syscall.SIGURG)
				p.signal(t, syscall.SIGWINCH)
				p.reports(t, "got window changed", 1)
				p.goesOn(t, ph, conn)
				p.reports(t, "got user defined signal 2", 1)

				conn = p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				p.reports(t, "got terminated", 1)
				if ph != running {
					eventually(t, func() bool { _, err := os.Lstat(p.path); return os.IsNotExist(err) }, "the socket stays: %s", p.stderr)
					ph = closed
				}
				p.goesOn(t, ph, conn)
			})
		})
	}
}

// TestASupervisorThatSendsTERMTwice requires that a program with a handler gets the signals
// that it would get without a manhole, and that a program without one dies of the first.
// A KILL afterwards leaves no socket, because the first TERM has closed the window.
func TestASupervisorThatSendsTERMTwice(t *testing.T) {
	gets := func(p stepProgram) int { return strings.Count(p.stderr.String(), "got terminated") }
	for _, test := range []struct {
		name    string
		pause   time.Duration
		handled bool // whether the first is handled before the second is sent
	}{
		{"at once", 0, false},
		{"10 ms later", 10 * time.Millisecond, false},
		{"after the first was handled", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startSteps(t, "notify TERM", "install")
				conn := p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				time.Sleep(test.pause) // the test varies the moment
				atLeast := 1           // two pending signals become one (signal(7))
				if test.handled {
					p.reports(t, "got terminated", 1)
					atLeast = 2
				}
				p.signal(t, syscall.SIGTERM)
				p.reports(t, "got terminated", atLeast)
				require.NoFileExists(t, p.path)
				if ph == running {
					p.goesOn(t, ph, conn)
				}
				p.take(t, "write") // it is alive, and no more signals are on their way
				require.LessOrEqual(t, gets(p), 2, "nothing is raised again")
				p.signal(t, syscall.SIGKILL)
				p.requireDead(t, diedOfKILL)

				p = startSteps(t, "install")
				p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				time.Sleep(test.pause)                // the test varies the moment
				_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
				p.requireDead(t, diedOfTERM)
			})
		})
	}
}
