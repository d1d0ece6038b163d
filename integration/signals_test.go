//go:build linux

package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Signals at every moment, as many as there can be.

// toldProgram is a program that takes steps; see program/signalcode.go.
type toldProgram struct {
	*child
	steps io.Writer
}

func startTold(t *testing.T, steps ...string) toldProgram {
	t.Helper()
	return startToldBy(t, toldBy(t, steps...))
}

func toldBy(t *testing.T, steps ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(plain(t, "./program"), append([]string{"told"}, steps...)...)
}

func startToldBy(t *testing.T, cmd *exec.Cmd) toldProgram {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	c := start(t, cmd, "ready")
	for _, v := range cmd.Env {
		if path, ok := strings.CutPrefix(v, "MANHOLE_PATH="); ok {
			c.path = path
		}
	}
	return toldProgram{c, stdin}
}

// take has the program take a step.
func (p toldProgram) take(t *testing.T, step string) {
	t.Helper()
	taken := "taken: " + step + "\n"
	before := strings.Count(p.stderr.String(), taken)
	_, err := io.WriteString(p.steps, step+"\n")
	require.NoError(t, err)
	eventually(t, func() bool { return strings.Count(p.stderr.String(), taken) > before }, "it does not %s; %s", step, p.stderr)
}

// tells waits until the program has told text so many times.
func (c *child) tells(t *testing.T, text string, times int) {
	t.Helper()
	eventually(t, func() bool { return strings.Count(c.stderr.String(), text) >= times }, "it does not tell %q; %s", text, c.stderr)
}

// storm sends USR2 so many times, as fast as kill(2) can.
func (c *child) storm(times int) {
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range times / 4 {
				_ = syscall.Kill(c.Process.Pid, usr2) // the child is not waited for before the end
			}
		})
	}
	senders.Wait() // for no longer than it takes to send; kill does not wait
}

// TestAStormOfSignals: afterwards one signal opens one window, which is served.
func TestAStormOfSignals(t *testing.T) {
	comeAndGo := func(t *testing.T, p toldProgram) {
		ended := make(chan struct{})
		go func() {
			p.storm(100_000)
			close(ended)
		}()
		defer testwait.Receive(t, ended, "the end of the storm") // before the pid is another's
		for over := false; !over; {
			select {
			case <-ended:
				over = true
			default:
			}
			conn := p.visit(t)
			_, _ = io.WriteString(conn, "help\n") // it may be one too many inside
			_, _ = conn.Read(make([]byte, 100))
			require.NoError(t, conn.Close())
		}
	}
	for _, test := range []struct {
		name  string
		steps []string
		storm func(t *testing.T, p toldProgram)
	}{
		{"in a window", []string{"install"}, func(t *testing.T, p toldProgram) {
			p.open(t)
			p.storm(100_000)
			require.FileExists(t, p.path)
		}},
		{"in a session", []string{"install"}, func(t *testing.T, p toldProgram) {
			conn := p.visit(t)
			p.storm(100_000)
			_, err := io.WriteString(conn, "gc\nexit\n")
			require.NoError(t, err)
			out, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.Contains(t, string(out), "collected in")
		}},
		{"while sessions begin and end", []string{"install"}, comeAndGo},
		{"during Install and Uninstall", []string{"install"}, func(t *testing.T, p toldProgram) {
			p.take(t, "churn")
			p.storm(100_000)
			p.take(t, "settle")
		}},
		{"which the program gets too", []string{"notify USR2", "install"}, func(t *testing.T, p toldProgram) {
			p.take(t, "churn")
			p.storm(100_000)
			p.take(t, "settle")
			p.tells(t, "got user defined signal 2", 10)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startTold(t, test.steps...)
			for range 20 { // warms up
				p.session(t, "mem\nexit\n")
			}
			before := p.state(t)
			test.storm(t, p)
			eventually(t, func() bool { // a window may be open, and another signal be on its way
				p.session(t, "exit\n")
				_, err := os.Lstat(p.path)
				return os.IsNotExist(err)
			}, "windows do not end: %s", p.stderr)
			mark := func(line string) { // the log comes later, and a storm may cost it records
				eventually(t, func() bool {
					require.Contains(t, p.session(t, line+"\nexit\n"), "no command")
					return strings.Contains(p.stderr.String(), "line="+line)
				}, "%s is not logged: %s", line, p.stderr)
			}
			mark("first")
			for range 3 {
				p.signal(t, usr2)
				require.Contains(t, p.answers(t, p.path), "collected in")
				require.NoFileExists(t, p.path)
			}
			mark("last")
			_, log, _ := strings.Cut(p.stderr.String(), "line=first")
			log, _, _ = strings.Cut(log, "line=last")
			require.Equal(t, strings.Count(log, "line=first")+3+1, strings.Count(log, "window open"), log)
			p.requireState(t, before)
		})
	}
}

// TestTheSignalAfterUninstall does what it did before: a program that is
// notified of it gets it, another one does not die of it (os/signal).
func TestTheSignalAfterUninstall(t *testing.T) {
	p := startTold(t, "notify USR2", "install")
	require.Contains(t, p.session(t, "exit\n"), ">>> ")
	p.tells(t, "got user defined signal 2", 1)
	p.take(t, "uninstall")
	p.signal(t, usr2)
	p.tells(t, "got user defined signal 2", 2)
	require.NoFileExists(t, p.path)

	p = startTold(t, "install", "uninstall")
	p.storm(1000)
	p.take(t, "install")
	require.Contains(t, p.session(t, "gc\nexit\n"), "collected in")
}

// bare is how the program ends by a signal without a manhole.
func bare(t *testing.T, sig syscall.Signal, steps ...string) syscall.WaitStatus {
	t.Helper()
	p := startTold(t, steps...)
	p.signal(t, sig)
	return p.wait(t)
}

// TestEndsAreThoseWithoutAManhole ends programs at random moments while windows
// come and go.
func TestEndsAreThoseWithoutAManhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGKILL} {
		for _, steps := range [][]string{nil, {"exit TERM,INT,HUP,QUIT"}} {
			want := bare(t, sig, steps...)
			for i := range fewer(30) {
				cmd := toldBy(t, append(steps, "install")...)
				cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
				p := startToldBy(t, cmd)
				switch i % 6 {
				case 0: // closed
				case 1, 2: // it opens
					p.signal(t, usr2)
				case 3:
					p.open(t)
				case 4:
					_, err := io.WriteString(p.visit(t), "help\nstacks\n")
					require.NoError(t, err)
				case 5:
					p.session(t, "exit\n")
					p.signal(t, usr2)
				}
				time.Sleep(rand.N(time.Millisecond)) // the moment is the subject
				p.signal(t, sig)
				require.Equal(t, want, p.wait(t), "%v %v, round %d: %s", sig, steps, i, p.stderr)
				left, err := os.ReadDir(dir)
				require.NoError(t, err)
				if sig != syscall.SIGQUIT && sig != syscall.SIGKILL {
					require.Empty(t, left, "%v %v, round %d", sig, steps, i)
					continue
				}
				// These leave no time: the file at the path is for the next window.
				for _, e := range left {
					require.Regexp(t, `^s(\.[0-9a-f]{6})?$`, e.Name())
					require.Equal(t, os.ModeSocket, e.Type())
					if e.Name() != "s" {
						require.NoError(t, os.Remove(filepath.Join(dir, e.Name())))
					}
				}
			}
			cmd := toldBy(t, "install")
			cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
			require.Contains(t, startToldBy(t, cmd).session(t, "gc\nexit\n"), "collected in")
			require.NoFileExists(t, path)
		}
	}
}

// stopped waits until the program is stopped.
func (c *child) stopped(t *testing.T) {
	t.Helper()
	eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	}, "it is not stopped: %s", c.stderr)
}

// TestStoppedAndContinued: what was begun goes on.
func TestStoppedAndContinued(t *testing.T) {
	t.Parallel()
	cmd := toldBy(t, "install")
	// A group whose leader's parent is in another one is no orphan, in which TSTP
	// would do nothing.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := startToldBy(t, cmd)
	for _, stop := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGSTOP} {
		p.signal(t, stop)
		p.stopped(t)
		p.signal(t, usr2)
		p.signal(t, syscall.SIGCONT)
		require.Contains(t, p.answers(t, p.path), "collected in", "the signal was kept")

		p.open(t)
		p.signal(t, stop)
		p.stopped(t)
		conn, err := net.Dial("unix", p.path)
		require.NoError(t, err, "the client waits")
		p.signal(t, syscall.SIGCONT)
		require.Contains(t, answerOf(t, conn), "collected in", "the client has waited")

		p.open(t)
		p.signal(t, stop)
		p.stopped(t)
		p.signal(t, syscall.SIGCONT)
		require.Contains(t, p.answers(t, p.path), "collected in", "the window is open still")

		conn = p.visit(t)
		p.signal(t, stop)
		p.stopped(t)
		_, err = io.WriteString(conn, "help exit\n")
		require.NoError(t, err)
		p.signal(t, syscall.SIGCONT)
		out := answerOf(t, conn)
		require.Contains(t, out, "leave; so do quit", "the session goes on")
		require.Contains(t, out, "collected in")

		for range 50 {
			p.signal(t, usr2)
			time.Sleep(rand.N(500 * time.Microsecond)) // the moment is the subject
			p.signal(t, stop)
			p.stopped(t)
			p.signal(t, syscall.SIGCONT)
			require.Contains(t, p.answers(t, p.path), "collected in")
		}
	}
}

// answers is what a client at path is told that comes without another signal.
func (c *child) answers(t *testing.T, path string) string {
	t.Helper()
	var conn net.Conn
	eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", path)
		return err == nil
	}, "no window; %s", c.stderr)
	return answerOf(t, conn)
}

// answerOf runs gc and exit in a session, and returns all that came.
func answerOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, "gc\nexit\n")
	require.NoError(t, err)
	out, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(out)
}

// TestSignalsToTheProcessGroup: every program in it opens its own window, and
// dies of its own signal.
func TestSignalsToTheProcessGroup(t *testing.T) {
	cmd := toldBy(t, "install", "children 2")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := startToldBy(t, cmd)
	pids := []string{strconv.Itoa(p.Process.Pid)}
	p.tells(t, "child ", 2)
	for _, m := range regexp.MustCompile(`child (\d+)\.`).FindAllStringSubmatch(p.stderr.String(), -1) {
		pids = append(pids, m[1])
	}
	require.Len(t, pids, 3)
	group := func(sig syscall.Signal) {
		t.Helper()
		require.NoError(t, syscall.Kill(-p.Process.Pid, sig))
	}
	for range 5 {
		group(usr2)
		for _, pid := range pids {
			require.Contains(t, p.answers(t, "/tmp/manhole-"+pid), "program, pid "+pid+", ")
		}
	}
	group(usr2)
	for _, pid := range pids {
		eventually(t, func() bool { _, err := os.Lstat("/tmp/manhole-" + pid); return err == nil }, "no window of %s: %s", pid, p.stderr)
	}
	group(syscall.SIGTERM)
	status := p.wait(t) // the children have its standard error, and have ended too
	require.Equal(t, syscall.SIGTERM, status.Signal(), "%#x", status)
	for _, pid := range pids {
		require.NoFileExists(t, "/tmp/manhole-"+pid)
	}
}
