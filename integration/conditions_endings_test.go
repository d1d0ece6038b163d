//go:build linux

package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Programs that end, in different ways and at different stages of their manholes.

// stages are the states of a manhole in which the program ends.
var stages = []struct {
	name   string
	reach  func(t *testing.T, c *child)
	leaves bool // whether a dead socket is left
}{
	{"no window yet", func(*testing.T, *child) {}, false},
	{"window open", func(t *testing.T, c *child) {
		c.open(t)
		c.logs(t, "window open")
	}, true},
	{"output half read", func(t *testing.T, c *child) {
		conn := c.begin(t)
		_, err := fmt.Fprintln(conn, "stacks -go") // of 2,000 goroutines
		require.NoError(t, err)
		conn.until("[select (no cases)")
	}, false},
	{"long command", func(t *testing.T, c *child) {
		conn := c.begin(t)
		_, err := fmt.Fprintln(conn, "profile cpu -seconds 100 -o "+filepath.Dir(c.path)+"/cpu")
		require.NoError(t, err)
		conn.until(" of 100 s") // it has tested that it can create the file, and takes the profile
	}, false},
	{"session over", func(t *testing.T, c *child) { c.serves(t, "gc") }, false},
}

// TestProgramsEndAsWithoutAManhole requires the same status and the same message as
// without a manhole. Only an open window leaves something: a dead socket. The next
// window at that path replaces it, and oneshot clean removes it.
func TestProgramsEndAsWithoutAManhole(t *testing.T) {
	oneshot := plain(t, "../cmd/oneshot")
	for _, end := range []struct {
		name   string
		sig    syscall.Signal // ends the program; if 0, the condition's own code for name does
		status string         // without the manhole
		says   string         // on standard error
	}{
		{"panic", 0, "exit status 2", "panic: the end"},
		{"exit", 0, "exit status 7", ""},
		{"log.Fatal", 0, "exit status 1", "the end"},
		{"return", 0, "exit status 0", ""},
		{"goexit, then exit", 0, "exit status 7", ""},
		{"killed", syscall.SIGKILL, "signal: killed", ""},
		{"quit", syscall.SIGQUIT, "exit status 2", "SIGQUIT: quit"},
		{"segmentation fault", syscall.SIGSEGV, "exit status 2", "SIGSEGV: segmentation violation"},
	} {
		ends := func(t *testing.T, c *child, line func(string)) {
			t.Helper()
			if end.sig != 0 {
				c.signal(t, end.sig)
			} else {
				line("end")
			}
			if strings.Contains(end.name, "then") {
				line("then")
			}
			c.AwaitEnd(t)
			require.Equal(t, end.status, c.ProcessState.String(), c.stderr)
			require.Contains(t, c.stderr.String(), end.says)
		}
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			t.Run("without a manhole", func(t *testing.T) {
				t.Parallel()
				c, line := withInput(t, "", "ending", end.name, "nothing")
				ends(t, c, line)
			})
			for _, stage := range stages {
				t.Run(stage.name, func(t *testing.T) {
					t.Parallel()
					dir := shortDir(t)
					c, line := withInput(t, dir, "ending", end.name, "manhole")
					stage.reach(t, c)
					ends(t, c, line)
					left, err := os.ReadDir(dir)
					require.NoError(t, err)
					if !stage.leaves {
						require.Empty(t, left)
						return
					}
					require.Len(t, left, 1)
					_, err = net.Dial("unix", c.path)
					require.ErrorIs(t, err, syscall.ECONNREFUSED)
					out, err := testwait.Command(t, oneshot, "clean", dir).CombinedOutput()
					require.NoError(t, err, "%s", out)
					require.NoFileExists(t, c.path)
				})
			}
		})
	}
}

// TestDeadSocketsAreReplaced requires that a window replaces the dead socket that
// another process has left at its path, however that process ended.
func TestDeadSocketsAreReplaced(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	t.Setenv("MANHOLE_PATH", path)
	for _, end := range []string{"panic", "exit", "log.Fatal", "return"} {
		c, line := withInput(t, "", "ending", end, "manhole")
		c.signal(t, usr2)
		c.logs(t, "window open")
		line("end")
		c.AwaitEnd(t)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, os.ModeSocket, info.Mode().Type())
	}
	c := startIn(t, "deadlocked")
	c.path = path
	c.serves(t, "gc", "collected in")
}

// shortDir returns a folder that every user may enter. Its name is short enough for
// the address of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "place")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// The runtime detects such a deadlock only in a program that has subscribed to no
// signal. With a manhole such a program goes on, as with any signal.Notify, and a
// session can look at it.
func TestMainHasReturnedAndAllGoroutinesWait(t *testing.T) {
	t.Parallel()
	c, line := withInput(t, "", "ending", "goexit", "nothing")
	line("end")
	c.AwaitEnd(t)
	require.Equal(t, "exit status 2", c.ProcessState.String())
	require.Contains(t, c.stderr.String(), "deadlock!")

	for _, with := range []string{"signal", "manhole"} {
		c, line := withInput(t, "", "ending", "goexit", with)
		line("end")
		c.logs(t, "main ends")
		select {
		case <-c.Ended:
			require.FailNow(t, "it has ended", c.stderr)
		case <-time.After(200 * time.Millisecond): // it must go on; only time shows that
		}
		if with == "manhole" {
			out := c.serves(t, "gc", "2000 (99%) select (no cases)", "collected in")
			require.NotContains(t, out, "main.main ")
		}
	}
}
