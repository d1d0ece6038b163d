//go:build linux

package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Programs whose own signal code does something about the manhole's signals.

// phase is what the manhole is doing when something happens.
type phase string

const (
	closed  phase = "window closed"
	open    phase = "window open"
	running phase = "session running"
)

var phases = []phase{closed, open, running}

// enter brings the manhole into a phase, and returns the session, if there is one.
func (c *child) enter(t *testing.T, ph phase) net.Conn {
	t.Helper()
	switch ph {
	case open:
		c.open(t)
	case running:
		conn := c.visit(t)
		var seen []byte
		for buf := make([]byte, 4<<10); !strings.HasSuffix(string(seen), ">>> "); {
			n, err := conn.Read(buf)
			require.NoError(t, err)
			seen = append(seen, buf[:n]...)
		}
		return conn
	}
	return nil
}

// goesOn requires that nothing has happened to the manhole in its phase.
func (c *child) goesOn(t *testing.T, ph phase, conn net.Conn) {
	t.Helper()
	switch ph {
	case closed:
		require.NoFileExists(t, c.path)
		require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	case open:
		require.Contains(t, c.answers(t, c.path), "collected in")
	case running:
		require.Contains(t, answerOf(t, conn), "collected in")
	}
}

// requireDead requires a wait status and that the program has left nothing.
func (c *child) requireDead(t *testing.T, want syscall.WaitStatus) {
	t.Helper()
	status := c.wait(t)
	require.Equal(t, want, status, "%#x, not %#x; %s", status, want, c.stderr)
	require.NoFileExists(t, c.path)
}

const (
	diedOfTERM = syscall.WaitStatus(syscall.SIGTERM)
	diedOfKILL = syscall.WaitStatus(syscall.SIGKILL)
	exited0    = syscall.WaitStatus(0)
	exited3    = syscall.WaitStatus(3 << 8)
)

// inEveryPhase runs a test in each of them.
func inEveryPhase(t *testing.T, f func(t *testing.T, ph phase)) {
	for _, ph := range phases {
		t.Run(string(ph), func(t *testing.T) {
			t.Parallel()
			f(t, ph)
		})
	}
}

// TestResetAndIgnoreOfTheManholesOwnSignal disarm it, and do no other harm. A new
// Install arms it again.
func TestResetAndIgnoreOfTheManholesOwnSignal(t *testing.T) {
	for _, step := range []string{"reset", "reset USR2", "ignore USR2"} {
		t.Run(step, func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startTold(t, "install")
				conn := p.enter(t, ph)
				p.take(t, step)
				if ph != closed { // what is open is served
					p.goesOn(t, ph, conn)
				}
				p.storm(1000) // and the program does not die of it (os/signal, Default behavior)
				p.take(t, "write")
				require.NoFileExists(t, p.path, "disarmed")

				p.take(t, "uninstall")
				p.take(t, "install")
				// One of these signals may be delivered only now.
				require.Contains(t, p.session(t, "gc\nexit\n"), "collected in")
				p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				p.requireDead(t, diedOfTERM)
			})
		})
	}
}

// TestResetOfATerminatingSignal: in an open window its socket is removed all the same.
func TestResetOfATerminatingSignal(t *testing.T) {
	for _, steps := range [][]string{{"exit TERM", "install"}, {"install", "exit TERM"}} {
		t.Run(strings.Join(steps, ", "), func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startTold(t, steps...)
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

// TestIgnoredTerminatingSignals stay ignored, whatever the manhole is doing, and
// take nothing away from it.
func TestIgnoredTerminatingSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		step := fmt.Sprintf("ignore %d", sig)
		for _, steps := range [][]string{{step, "install"}, {"install", step}} {
			t.Run(strings.Join(steps, ", "), func(t *testing.T) {
				inEveryPhase(t, func(t *testing.T, ph phase) {
					p := startTold(t, steps...)
					conn := p.enter(t, ph)
					p.signal(t, sig)
					p.goesOn(t, ph, conn)
					conn = p.enter(t, ph)
					p.take(t, step) // once more, in this phase
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

// TestAGracefulShutdown: a window can be opened in it, and neither its end nor
// another signal, of which the program dies then, leaves anything.
func TestAGracefulShutdown(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, twice %v", sig, again), func(t *testing.T) {
				inEveryPhase(t, func(t *testing.T, ph phase) {
					p := startTold(t, "install", "graceful TERM,INT")
					conn := p.enter(t, ph)
					p.signal(t, sig)
					p.tells(t, "shutting down", 1)
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

// TestAProgramThatIsNotifiedOfEverySignal gets the manhole's too, and those that
// the runtime sends to itself.
func TestAProgramThatIsNotifiedOfEverySignal(t *testing.T) {
	for _, steps := range [][]string{{"notify", "install"}, {"install", "notify"}} {
		t.Run(strings.Join(steps, ", "), func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startTold(t, steps...)
				conn := p.enter(t, ph)
				p.signal(t, syscall.SIGURG)
				p.signal(t, syscall.SIGWINCH)
				p.tells(t, "got window changed", 1)
				p.goesOn(t, ph, conn)
				p.tells(t, "got user defined signal 2", 1)

				conn = p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				p.tells(t, "got terminated", 1)
				if ph != running {
					eventually(t, func() bool { _, err := os.Lstat(p.path); return os.IsNotExist(err) }, "the socket stays: %s", p.stderr)
					ph = closed
				}
				p.goesOn(t, ph, conn)
			})
		})
	}
}

// TestASupervisorThatSendsTERMTwice: a program with a handler gets what it would
// have had, another one dies of the first. KILL after the grace leaves nothing
// either, since the first TERM has closed the window.
func TestASupervisorThatSendsTERMTwice(t *testing.T) {
	gets := func(p toldProgram) int { return strings.Count(p.stderr.String(), "got terminated") }
	for _, test := range []struct {
		name    string
		pause   time.Duration
		handled bool // the first, when the second comes
	}{
		{"at once", 0, false},
		{"10 ms later", 10 * time.Millisecond, false},
		{"after the first was handled", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inEveryPhase(t, func(t *testing.T, ph phase) {
				p := startTold(t, "notify TERM", "install")
				conn := p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				time.Sleep(test.pause) // the moment is the subject
				atLeast := 1           // the kernel makes one of two that are pending (signal(7))
				if test.handled {
					p.tells(t, "got terminated", 1)
					atLeast = 2
				}
				p.signal(t, syscall.SIGTERM)
				p.tells(t, "got terminated", atLeast)
				require.NoFileExists(t, p.path)
				if ph == running {
					p.goesOn(t, ph, conn)
				}
				p.take(t, "write") // it lives, and has nothing more to come
				require.LessOrEqual(t, gets(p), 2, "nothing is raised again")
				p.signal(t, syscall.SIGKILL)
				p.requireDead(t, diedOfKILL)

				p = startTold(t, "install")
				p.enter(t, ph)
				p.signal(t, syscall.SIGTERM)
				time.Sleep(test.pause)                // the moment is the subject
				_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
				p.requireDead(t, diedOfTERM)
			})
		})
	}
}

// TestAnUpgrade: a program that hands its listening socket over to its successor,
// as with tableflip. Each has a window of its own, and the successor has nothing
// of its predecessor's.
func TestAnUpgrade(t *testing.T) {
	inEveryPhase(t, func(t *testing.T, ph phase) {
		dir := t.TempDir()
		service := filepath.Join(dir, "service")
		stderr, err := os.Create(filepath.Join(dir, "stderr")) // which outlives the first
		require.NoError(t, err)
		defer stderr.Close()
		cmd := exec.Command(plain(t, "./program"), "upgrade", service)
		cmd.Stderr = stderr
		stdin, end, err := os.Pipe() // that of all of them, at whose end they end
		require.NoError(t, err)
		defer stdin.Close()
		cmd.Stdin = stdin
		first := start(t, cmd, "ready")
		var successors []int
		t.Cleanup(func() {
			require.NoError(t, end.Close())
			for _, pid := range successors { // they are no children of this process
				eventually(t, func() bool { return hasEnded(pid) }, "the successor %d stays", pid)
			}
		})
		ask := func() (client net.Conn, pid int) { // who serves
			t.Helper()
			client, err := net.Dial("unix", service)
			require.NoError(t, err)
			t.Cleanup(func() { client.Close() })
			require.NoError(t, client.SetDeadline(time.Now().Add(patience)))
			_, err = fmt.Fscanln(client, &pid)
			require.NoError(t, err)
			return client, pid
		}
		now := first.Process.Pid
		for range 2 { // upgrades
			old := &child{Cmd: &exec.Cmd{Process: process(t, now)}, path: fmt.Sprintf("/tmp/manhole-%d", now), stderr: &testwait.Buffer{}}
			client, pid := ask()
			require.Equal(t, now, pid)
			conn := old.enter(t, ph)
			old.signal(t, syscall.SIGHUP)
			eventually(t, func() bool {
				var poll net.Conn
				poll, now = ask()
				_ = poll.Close()
				return now != pid
			}, "no successor of %d", pid)
			if ph != running {
				require.NoFileExists(t, old.path, "SIGHUP has closed it")
			}
			path := fmt.Sprintf("/tmp/manhole-%d", now)
			successor := &child{Cmd: &exec.Cmd{Process: process(t, now)}, path: path, stderr: &testwait.Buffer{}}
			successors = append(successors, now)

			// Both have one at the same time, and know who they are.
			old.open(t)
			successor.open(t)
			require.Contains(t, old.answers(t, old.path), fmt.Sprintf("program, pid %d, ", pid))
			require.FileExists(t, successor.path)
			require.Contains(t, successor.answers(t, successor.path), fmt.Sprintf("program, pid %d, ", now))
			require.NotContains(t, successor.session(t, "fds\nexit\n"), fmt.Sprintf("manhole-%d", pid))

			old.open(t) // it ends with a window open, after those whom it serves
			require.NoError(t, client.Close())
			if conn != nil {
				require.Contains(t, answerOf(t, conn), "collected in")
			}
			eventually(t, func() bool { _, err := os.Lstat(old.path); return os.IsNotExist(err) }, "the predecessor's window stays")
			if pid == first.Process.Pid {
				require.Equal(t, exited0, first.wait(t))
			}
			eventually(t, func() bool { return hasEnded(pid) }, "the predecessor %d stays", pid)
			last, serving := ask()
			require.Equal(t, now, serving)
			require.NoError(t, last.Close())
			require.Contains(t, successor.session(t, "gc\nexit\n"), "collected in")
		}
		text, err := os.ReadFile(stderr.Name())
		require.NoError(t, err)
		require.NotRegexp(t, regexp.MustCompile(`(?i)level=|WARN|ERROR|panic`), string(text))
	})
}

// process is one that is not a child.
func process(t *testing.T, pid int) *os.Process {
	t.Helper()
	p, err := os.FindProcess(pid)
	require.NoError(t, err)
	return p
}

// hasEnded reports whether a process has, be it that nobody has waited for it yet.
func hasEnded(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
