//go:build linux

package integration

import (
	"fmt"
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

// TestAnUpgrade is about a program that passes its listening socket to a new process of
// itself, as tableflip does. Each process has a window of its own, and the successor
// inherits nothing of the old manhole.
func TestAnUpgrade(t *testing.T) {
	inEveryPhase(t, func(t *testing.T, ph phase) {
		dir := t.TempDir()
		service := filepath.Join(dir, "service")
		stderr, err := os.Create(filepath.Join(dir, "stderr")) // all processes write to it
		require.NoError(t, err)
		defer stderr.Close()
		cmd := exec.Command(plain(t, "./program"), "upgrade", service)
		cmd.Stderr = stderr
		stdin, end, err := os.Pipe() // all processes read it and end when it ends
		require.NoError(t, err)
		defer stdin.Close()
		cmd.Stdin = stdin
		first := start(t, cmd, "ready")
		var successors []int
		t.Cleanup(func() {
			require.NoError(t, end.Close())
			for _, pid := range successors { // nobody waits for them
				eventually(t, func() bool { return hasEnded(pid) }, "the successor %d stays", pid)
			}
		})
		ask := func() (client net.Conn, pid int) { // returns a client and the pid of the process that serves it
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
			old := notAChild(t, now)
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
				require.NoFileExists(t, old.path, "SIGHUP has closed the window")
			}
			successor := notAChild(t, now)
			successors = append(successors, now)

			// Both have a window at the same time, each at its own path.
			old.open(t)
			successor.open(t)
			require.Contains(t, old.answers(t, old.path), fmt.Sprintf("program, pid %d, ", pid))
			require.FileExists(t, successor.path)
			require.Contains(t, successor.answers(t, successor.path), fmt.Sprintf("program, pid %d, ", now))
			require.NotContains(t, successor.session(t, "fds\nexit\n"), fmt.Sprintf("manhole-%d", pid))

			old.open(t) // the old process ends with an open window, when its clients have gone
			require.NoError(t, client.Close())
			if conn != nil {
				require.Contains(t, answerOf(t, conn), "collected in")
			}
			eventually(t, func() bool { _, err := os.Lstat(old.path); return os.IsNotExist(err) }, "the predecessor's window stays")
			if pid == first.Process.Pid {
				require.Equal(t, exited0, first.AwaitEnd(t))
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

// notAChild is a program with a manhole that this process has not started. Nobody
// waits for its end.
func notAChild(t *testing.T, pid int) *child {
	t.Helper()
	p, err := os.FindProcess(pid)
	require.NoError(t, err)
	path := fmt.Sprintf("/tmp/manhole-%d", pid)
	testwait.RemoveDead(path)
	return &child{Child: &testwait.Child{Cmd: &exec.Cmd{Process: p}}, stderr: &testwait.Buffer{}, path: path}
}

// hasEnded reports whether a process has ended. It may still be a zombie.
func hasEnded(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
