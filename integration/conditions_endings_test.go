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

// The ends of the program, which come when they come.

// stages is when a program ends, from the point of view of its manhole.
var stages = []struct {
	name   string
	reach  func(t *testing.T, c *child)
	leaves bool // a dead socket
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
		conn.until(" of 100 s") // it has tried whether it can make a file, and is at work
	}, false},
	{"session over", func(t *testing.T, c *child) { c.serves(t, "gc") }, false},
}

// begin begins a session.
func (c *child) begin(t *testing.T) conversation {
	t.Helper()
	c.open(t)
	conn := c.dial(t)
	conn.until(">>> ")
	return conn
}

// TestEndsOfTheProgram: each is exactly what it would be without the manhole.
// Only an open window leaves something, a dead socket, for the next window at its
// path to replace and for oneshot clean to remove.
func TestEndsOfTheProgram(t *testing.T) {
	oneshot := plain(t, "../cmd/oneshot")
	for _, end := range []struct {
		name   string
		sig    syscall.Signal // by which it ends; else by its name
		status string         // what it is without the manhole
		says   string
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
			c.wait(t)
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

// TestADeadSocketOfAnyEndIsReplaced: by the next process whose window has the
// path.
func TestADeadSocketOfAnyEndIsReplaced(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	t.Setenv("MANHOLE_PATH", path)
	for _, end := range []string{"panic", "exit", "log.Fatal", "return"} {
		c, line := withInput(t, "", "ending", end, "manhole")
		c.signal(t, usr2)
		c.logs(t, "window open")
		line("end")
		c.wait(t)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, os.ModeSocket, info.Mode().Type())
	}
	c := startIn(t, "deadlocked")
	c.path = path
	c.serves(t, "gc", "collected in")
}

// shortDir is a folder whose name leaves room for the name of a socket, which
// every user may enter.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "place")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// TestNoGoroutineIsLeftToRun: the runtime notices that only while the program
// is notified of no signal. With a manhole it goes on as every other that is, and
// can be looked at.
func TestNoGoroutineIsLeftToRun(t *testing.T) {
	t.Parallel()
	c, line := withInput(t, "", "ending", "goexit", "nothing")
	line("end")
	c.wait(t)
	require.Equal(t, "exit status 2", c.ProcessState.String())
	require.Contains(t, c.stderr.String(), "deadlock!")

	for _, with := range []string{"signal", "manhole"} {
		c, line := withInput(t, "", "ending", "goexit", with)
		line("end")
		c.logs(t, "main ends")
		select {
		case <-c.ended:
			require.FailNow(t, "it has ended", c.stderr)
		case <-time.After(200 * time.Millisecond): // that it goes on is the subject
		}
		if with == "manhole" {
			out := c.serves(t, "gc", "2000 (99%) select (no cases)", "collected in")
			require.NotContains(t, out, "main.main ")
		}
	}
}
