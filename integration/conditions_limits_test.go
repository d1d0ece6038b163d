//go:build linux

package integration

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// The limits of the program: what it may not have, the manhole may not either.

// TestNoDescriptorIsFree: without one there is no window, and the log says what
// to do; with one there is no session yet, but a client waits for it; with two
// there is one. What needs a descriptor says so.
func TestNoDescriptorIsFree(t *testing.T) {
	t.Parallel()
	need(t, "prlimit", "util-linux")
	c, line := withInput(t, "", "descriptors")
	times := 0
	free := func(n int) {
		t.Helper()
		line(fmt.Sprint(n))
		times++
		eventually(t, func() bool { return strings.Count(c.stderr.String(), " are free") == times }, "there are not %d free: %s", n, c.stderr)
	}
	free(0)
	c.signal(t, usr2)
	c.logs(t, "no window", c.path, "socket: too many open files",
		fmt.Sprintf("raise the limit (prlimit --pid %d --nofile=N) or have the program close some, and try again", c.Process.Pid))
	require.NoFileExists(t, c.path)

	free(1)
	c.open(t)
	conn := c.dial(t)
	c.logs(t, "cannot accept a client, trying on", "accept: too many open files; raise the limit")
	free(2)
	conn.until("help lists the commands")
	conn.until(">>> ")
	require.NoFileExists(t, c.path)

	free(0)
	for _, row := range []struct{ command, says string }{
		{"stacks", "by identical stacks"},
		{"mem", "heap in use"},
		{"gc", "collected in"},
		{"metrics /sched/gomaxprocs", "threads"},
		{"threads", "threads: open /proc/self/task: too many open files"},
		{"fds", " of 64: "},
		{"signals", "too many open files"},
		{"proc status", "too many open files"},
		{"profile goroutine -o " + t.TempDir() + "/p", "too many open files"},
	} {
		conn.says(row.command, row.says)
	}
	free(1)
	conn.says("threads", "sleeping")
	require.NoError(t, conn.Close())

	free(20)
	c.serves(t, "fds", "char", "/dev/null")
	free(0)
	pid := c.Process.Pid
	prlimit(t, 0, "--nofile=100", pid)
	c.serves(t, "fds", "/dev/null") // as the log has said
}

// TestNoThreadMayBeMade: a session may make the runtime want a thread, and where
// it gets none the program ends. So a session is refused, until the limit is raised.
func TestNoThreadMayBeMade(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const uid = 12347 // with no other process; the limit is the user's
	argv := as(uid, plain(t, "./program"), "threads")
	c := start(t, exec.Command(argv[0], argv[1:]...), "ready")
	pid := c.Process.Pid
	for range 5 {
		out := c.session(t, "stacks\n")
		require.Contains(t, out, "oneshot: refused: the process may have no 4 threads more")
		require.Contains(t, out, fmt.Sprintf("resource temporarily unavailable; raise the limit of its user (prlimit --pid %d --nproc=N)", pid))
		require.NotContains(t, out, ">>> ")
		c.leftNothing(t)
	}
	c.logs(t, "session closed", "the process may have no 4 threads more")
	prlimit(t, uid, "--nproc=1000:1000", pid)
	c.serves(t, "threads", "threads: ")
}

func prlimit(t *testing.T, uid int, limit string, pid int) {
	t.Helper()
	argv := []string{"prlimit", limit, "--pid", fmt.Sprint(pid)}
	if uid != 0 {
		argv = as(uid, argv...) // not every root may do it to others
	}
	out, err := testwait.Command(t, argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// conversation is a client that reads answers one by one.
type conversation struct {
	net.Conn
	t *testing.T
}

func (c *child) dial(t *testing.T) conversation {
	t.Helper()
	conn, err := net.Dial("unix", c.path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conversation{conn, t}
}

// until reads up to a text.
func (c conversation) until(text string) string {
	c.t.Helper()
	var out strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(out.String(), text) {
		_, err := c.Read(b)
		require.NoError(c.t, err, "%q does not come, but %s", text, out.String())
		out.Write(b)
	}
	return out.String()
}

// says sends a line, the answer to which must contain a text.
func (c conversation) says(line, text string) {
	c.t.Helper()
	_, err := fmt.Fprintln(c, line)
	require.NoError(c.t, err)
	require.Contains(c.t, c.until("\n>>> "), text)
}
