//go:build linux

package integration

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// clientsAtOnce starts n clients of a user at once. It returns the number of clients for
// each answer.
func (c *child) clientsAtOnce(t *testing.T, uid, n int, more ...string) map[string]int {
	t.Helper()
	argv := append([]string{plain(t, "./program"), "clients", strconv.Itoa(n), c.path}, more...)
	if uid != os.Geteuid() {
		argv = as(uid, argv...)
	}
	out, err := testwait.Command(t, argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	count := map[string]int{}
	for line := range strings.Lines(string(out)) {
		number, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
		count[answer], err = strconv.Atoi(number)
		require.NoError(t, err, "%s", out)
	}
	return count
}

const thousand = 1000

// TestAThousandClientsAtOnce requires that one of them enters and all others learn why
// they do not.
func TestAThousandClientsAtOnce(t *testing.T) {
	t.Parallel()
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	for _, held := range [][]string{nil, {strconv.Itoa(c.Process.Pid)}} { // the second time, the program is stopped until the queue is full
		c.placesAreFree(t)
		c.open(t)
		answers := c.clientsAtOnce(t, os.Geteuid(), thousand, held...)
		require.Equal(t, 1, answers["entered"], "%v", answers)
		const late = "oneshot: too late, the window is closed: another client has entered"
		answered := 1 + answers[late]
		if held != nil {
			require.Greater(t, answered, 100, "%v", answers)
		}
		for _, errno := range []syscall.Errno{
			syscall.ENOENT,       // the client came after the path was removed,
			syscall.ECONNREFUSED, // or waited for a place in the queue,
			syscall.ECONNRESET,   // or got a place while the socket was closed
		} {
			answered += answers[errno.Error()]
		}
		require.Equal(t, thousand, answered, "each client learns why: %v", answers)
		c.requireServing(t)
	}
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	c.requireState(t, before)
}

// TestAThousandClientsOfAnotherUser requires that none of them enters, and that they do
// not keep out a client that may enter.
func TestAThousandClientsOfAnotherUser(t *testing.T) {
	needRoot(t)
	t.Parallel()
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	c.placesAreFree(t)
	c.open(t)
	require.Equal(t, map[string]int{syscall.EACCES.Error(): thousand}, c.clientsAtOnce(t, bob, thousand), "the socket's mode keeps them out")

	require.NoError(t, os.Chmod(c.path, 0o666))
	const refused = "oneshot: refused: uid 12346 is neither the process's uid 0 nor root"
	require.Equal(t, map[string]int{refused: thousand}, c.clientsAtOnce(t, bob, thousand))
	lost := regexp.MustCompile(`lost.*records=(\d+)`)
	eventually(t, func() bool { // a log that is too slow records how many records are lost
		log := c.stderr.String()
		n := strings.Count(log, "client refused")
		for _, m := range lost.FindAllStringSubmatch(log, -1) {
			left, _ := strconv.Atoi(m[1])
			n += left
		}
		return n == thousand
	}, "not all are logged: %s", c.stderr)
	require.FileExists(t, c.path, "the window is still open")

	// While they keep coming, root enters.
	argv := as(bob, plain(t, "./program"), "flood", c.path)
	flood := start(t, exec.Command(argv[0], argv[1:]...), "ready")
	eventually(t, func() bool {
		return strings.Count(c.stderr.String(), "client refused") > thousand+100
	}, "no flood: %s", flood.stderr)
	answers := c.clientsAtOnce(t, 0, 1)
	require.Equal(t, map[string]int{"entered": 1}, answers)
	require.NoError(t, flood.Process.Kill())
	flood.AwaitEnd(t)
	c.requireServing(t)
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	c.requireState(t, before)
}
