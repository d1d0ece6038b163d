//go:build linux

package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Many signals, at all moments.

// TestAStormOfSignals requires that after a hundred thousand signals one signal opens one
// window, and that the window works.
func TestAStormOfSignals(t *testing.T) {
	comeAndGo := func(t *testing.T, p stepProgram) {
		ended := make(chan struct{})
		go func() {
			p.storm(100_000)
			close(ended)
		}()
		defer testwait.Receive(t, ended, "the end of the storm") // before another process can get the pid
		for over := false; !over; {
			select {
			case <-ended:
				over = true
			default:
			}
			conn := p.visit(t)
			_, err := io.WriteString(conn, "help\n")
			require.NoError(t, err)
			_, err = conn.Read(make([]byte, 100))
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		}
	}
	for _, test := range []struct {
		name  string
		steps []string
		storm func(t *testing.T, p stepProgram)
	}{
		{"in a window", []string{"install"}, func(t *testing.T, p stepProgram) {
			p.open(t)
			p.storm(100_000)
			require.FileExists(t, p.path)
		}},
		{"in a session", []string{"install"}, func(t *testing.T, p stepProgram) {
			conn := p.visit(t)
			p.storm(100_000)
			_, err := io.WriteString(conn, "gc\nexit\n")
			require.NoError(t, err)
			out, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.Contains(t, string(out), "collected in")
		}},
		{"while sessions begin and end", []string{"install"}, comeAndGo},
		{"during Install and Uninstall", []string{"install"}, func(t *testing.T, p stepProgram) {
			p.take(t, "churn")
			p.storm(100_000)
			p.take(t, "settle")
		}},
		{"which the program gets too", []string{"notify USR2", "install"}, func(t *testing.T, p stepProgram) {
			p.take(t, "churn")
			p.storm(100_000)
			p.take(t, "settle")
			p.reports(t, "got user defined signal 2", 10)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startSteps(t, test.steps...)
			for range 20 { // warms up
				p.session(t, "mem\nexit\n")
			}
			before := p.state(t)
			test.storm(t, p)
			eventually(t, func() bool { // a window may be open, and a signal may be on its way
				p.session(t, "exit\n")
				_, err := os.Lstat(p.path)
				return os.IsNotExist(err)
			}, "windows do not end: %s", p.stderr)
			p.placesAreFree(t)
			mark := func(line string) { // the log comes late, and may lose records in a storm
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

// TestTheSignalAfterUninstall requires that the signal works as before Install in a program
// that is notified of it. Another program does not die of it (os/signal).
func TestTheSignalAfterUninstall(t *testing.T) {
	p := startSteps(t, "notify USR2", "install")
	require.Contains(t, p.session(t, "exit\n"), ">>> ")
	p.reports(t, "got user defined signal 2", 1)
	p.take(t, "uninstall")
	p.signal(t, usr2)
	p.reports(t, "got user defined signal 2", 2)
	require.NoFileExists(t, p.path)

	p = startSteps(t, "install", "uninstall")
	p.storm(1000)
	p.take(t, "install")
	require.Contains(t, p.session(t, "gc\nexit\n"), "collected in")
}

// bare returns how a program without a manhole ends by a signal.
func bare(t *testing.T, sig syscall.Signal, steps ...string) syscall.WaitStatus {
	t.Helper()
	p := startSteps(t, steps...)
	p.signal(t, sig)
	return p.AwaitEnd(t)
}

// TestSignalsEndProgramsAsWithoutAManhole sends signals that end programs at random moments,
// while windows come and go.
func TestSignalsEndProgramsAsWithoutAManhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGKILL} {
		for _, steps := range [][]string{nil, {"exit TERM,INT,HUP,QUIT"}} {
			want := bare(t, sig, steps...)
			for i := range fewer(30) {
				cmd := stepCommand(t, append(steps, "install")...)
				cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
				p := startStepCommand(t, cmd)
				switch i % 6 {
				case 0: // the window is closed
				case 1, 2: // the window is opening
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
				time.Sleep(rand.N(time.Millisecond)) // the test varies the moment
				p.signal(t, sig)
				require.Equal(t, want, p.AwaitEnd(t), "%v %v, round %d: %s", sig, steps, i, p.stderr)
				left, err := os.ReadDir(dir)
				require.NoError(t, err)
				if sig != syscall.SIGQUIT && sig != syscall.SIGKILL {
					require.Empty(t, left, "%v %v, round %d", sig, steps, i)
					continue
				}
				// These signals leave no time to remove the socket. The next window replaces it.
				for _, e := range left {
					require.Regexp(t, `^s(\.[0-9a-f]{6})?$`, e.Name())
					require.Equal(t, os.ModeSocket, e.Type())
					if e.Name() != "s" {
						require.NoError(t, os.Remove(filepath.Join(dir, e.Name())))
					}
				}
			}
			cmd := stepCommand(t, "install")
			cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
			require.Contains(t, startStepCommand(t, cmd).session(t, "gc\nexit\n"), "collected in")
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

// TestStoppedAndContinued stops the program in every phase and continues it. The manhole goes
// on where it was.
func TestStoppedAndContinued(t *testing.T) {
	t.Parallel()
	cmd := stepCommand(t, "install")
	// In an orphaned process group TSTP does nothing. This group is not orphaned: the
	// parent of its leader is in another group of the same session.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := startStepCommand(t, cmd)
	for _, stop := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGSTOP} {
		p.signal(t, stop)
		p.stopped(t)
		p.signal(t, usr2)
		p.signal(t, syscall.SIGCONT)
		require.Contains(t, p.answers(t, p.path), "collected in", "the signal was pending")

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
		require.Contains(t, p.answers(t, p.path), "collected in", "the window is still open")

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
			time.Sleep(rand.N(500 * time.Microsecond)) // the test varies the moment
			p.signal(t, stop)
			p.stopped(t)
			p.signal(t, syscall.SIGCONT)
			require.Contains(t, p.answers(t, p.path), "collected in")
		}
	}
}

// TestSignalsToTheProcessGroup requires that every program in the group opens its own window,
// and that SIGTERM ends each of them.
func TestSignalsToTheProcessGroup(t *testing.T) {
	cmd := stepCommand(t, "install", "children 2")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := startStepCommand(t, cmd)
	pids := []string{strconv.Itoa(p.Process.Pid)}
	p.reports(t, "child ", 2)
	for _, m := range regexp.MustCompile(`child (\d+)\.`).FindAllStringSubmatch(p.stderr.String(), -1) {
		pids = append(pids, m[1])
		testwait.RemoveDead("/tmp/manhole-" + m[1])
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
	status := p.AwaitEnd(t) // the children have ended too: they have its standard error open
	require.Equal(t, syscall.SIGTERM, status.Signal(), "%#x", status)
	for _, pid := range pids {
		require.NoFileExists(t, "/tmp/manhole-"+pid)
	}
}
