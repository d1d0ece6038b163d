//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// child is a program with a manhole.
type child struct {
	*testwait.Child
	stderr *testwait.Buffer // what it has written to its standard error
	path   string           // of its socket
}

// start starts a command that prints a line with text when it is ready.
func start(t *testing.T, cmd *exec.Cmd, text string) *child {
	t.Helper()
	c := &child{}
	t.Cleanup(func() { testwait.RemoveDead(c.path) }) // runs after testwait.Start's, which kills the program
	c.Child = testwait.Start(t, cmd, text)
	c.stderr = c.Errors
	c.path = fmt.Sprintf("/tmp/manhole-%d", cmd.Process.Pid)
	testwait.RemoveDead(c.path)
	return c
}

// startIn starts ./program in a condition, which is a name and its arguments. The
// socket has the default path.
func startIn(t *testing.T, condition ...string) *child {
	t.Helper()
	return start(t, exec.Command(plain(t, "./program"), condition...), "ready")
}

// startServer starts examples/server, behind the words of another command if any are
// given.
func startServer(t *testing.T, before ...string) *child {
	t.Helper()
	argv := append(before, server)
	return start(t, exec.Command(argv[0], argv[1:]...), "nc -U")
}

// signal sends a signal to the program.
func (c *child) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, c.Process.Signal(sig))
}

// open opens a window and waits until its socket exists.
func (c *child) open(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(c.path); return err == nil }, "no window; %s", c.stderr)
}

// state counts what a program is made of. Sessions must not change it.
type state struct{ goroutines, descriptors, threads int }

var goroutines = regexp.MustCompile(`(?m)^goroutines +(\d+): `)

// state returns the state of a program in which nothing runs but one session.
func (c *child) state(t *testing.T) (s state) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d", c.Process.Pid)
	count := func(dir string) int {
		entries, err := os.ReadDir(proc + dir)
		require.NoError(t, err)
		return len(entries)
	}
	found := goroutines.FindStringSubmatch(c.session(t, "exit\n"))
	require.NotNil(t, found)
	s.goroutines, _ = strconv.Atoi(found[1])
	s.threads = count("/task")
	// The program closes the session's descriptor after the client has seen the end.
	s.descriptors = count("/fd")
	eventually(t, func() bool {
		last := s.descriptors
		s.descriptors = count("/fd")
		return s.descriptors == last
	}, "the descriptors do not settle: %+v", &s)
	return s
}
