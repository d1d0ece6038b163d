//go:build linux

package integration

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Limits of the program, which are limits of its manhole too.

// TestNoDescriptorIsFree is about programs with too few free descriptors. With none,
// no window opens, and the log says what to do. With one, a client connects and waits.
// With two, it has a session. A command that needs a descriptor and gets none says so.
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
	c.logs(t, "cannot accept a client, will try again", "accept: too many open files; raise the limit")
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
	c.serves(t, "fds", "/dev/null") // the log has said that this helps
}

// TestNoThreadCanBeCreated is about a program that has as many threads as its user may
// have. A session may make the runtime create a thread, and if that fails, the runtime
// ends the program. So the manhole refuses the session until the limit is raised.
func TestNoThreadCanBeCreated(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const uid = 12347 // it has no other process; the limit is one of the user
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

// TestTheProgramsOwnLimitOfThreads is about debug.SetMaxThreads: the runtime ends the program
// that needs one thread more. A window with its client may need one, so there is none, and
// the client reads the program from outside.
func TestTheProgramsOwnLimitOfThreads(t *testing.T) {
	t.Parallel()
	c := startIn(t, "maxthreads")
	for n := range 5 {
		c.signal(t, usr2)
		eventually(t, func() bool { return strings.Count(c.stderr.String(), "no window") > n }, "the signal is not answered: %s", c.stderr)
		require.NoFileExists(t, c.path)
	}
	c.logs(t, "no window", "the program has ", " of at most ", fmt.Sprintf("raise debug.SetMaxThreads, or read the program from outside (oneshot -outside %d)", c.Process.Pid))
}

// TestASandboxThatIsStrictAboutThreads requires that a session creates threads only as the
// runtime does.
func TestASandboxThatIsStrictAboutThreads(t *testing.T) {
	t.Parallel()
	startIn(t, "strict").serves(t, "gc", "collected in")
}

// prlimit changes a limit of a process of the user uid.
func prlimit(t *testing.T, uid int, limit string, pid int) {
	t.Helper()
	argv := []string{"prlimit", limit, "--pid", fmt.Sprint(pid)}
	if uid != 0 {
		argv = as(uid, argv...) // root in a container may lack the capability
	}
	out, err := testwait.Command(t, argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
