//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Clients that misbehave. The program goes on serving, the next window opens, and the
// clients leave nothing behind.

// echoes is a program that serves an echo service. own is a connection to that service.
type echoes struct {
	*child
	own net.Conn
}

// startEcho starts ./program in the condition echo.
func startEcho(t *testing.T) echoes {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own")
	c := startIn(t, "echo", path)
	own, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { own.Close() })
	return echoes{c, own}
}

// requireServing requires that the service answers.
func (e echoes) requireServing(t *testing.T) {
	t.Helper()
	require.NoError(t, e.own.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(e.own, "hello\n")
	require.NoError(t, err)
	_, err = io.ReadFull(e.own, make([]byte, len("hello\n")))
	require.NoError(t, err)
}

// peakMemory returns VmHWM in KiB.
func (c *child) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	require.NoError(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	kib, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return kib
}

func TestHostileClients(t *testing.T) {
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	var all []byte // every byte value that neither ends a line nor interrupts
	for b := range 256 {
		if b != '\n' && b != 3 {
			all = append(all, byte(b), '\n')
		}
	}
	for _, test := range []struct {
		name     string
		sends    []byte // written while the client reads nothing
		endless  int    // number of bytes without a line end that come before sends
		answered func(t *testing.T, out string)
	}{
		{name: "says nothing", answered: func(t *testing.T, out string) {
			require.Contains(t, out, "by identical stacks")
		}},
		{name: "does not read", sends: bytes.Repeat([]byte("help exit\nhelp\n"), 500), answered: func(t *testing.T, out string) {
			require.Equal(t, 500, strings.Count(out, "list the commands, or explain one"), "all of it was kept")
		}},
		{name: "sends 64 MiB without a line end", endless: 64 << 20, answered: func(t *testing.T, out string) {
			require.Contains(t, out, "the line has more than 65536 bytes and was not run")
		}},
		{name: "sends NULs", sends: append(make([]byte, 10_000), '\n'), answered: func(t *testing.T, out string) {
			require.Contains(t, out, `no command "\x00\x00`)
		}},
		{name: "sends every byte value", sends: all, answered: func(t *testing.T, out string) {
			const blank = 5 // tab, vertical tab, form feed, carriage return, space
			require.Equal(t, 254-blank, strings.Count(out, "no command"))
			require.Contains(t, out, `no command "\xff"`)
		}},
		{name: "sends interrupts", sends: bytes.Repeat([]byte{3}, 10_000), answered: func(t *testing.T, out string) {
			require.NotContains(t, out, "no command")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			memory := c.peakMemory(t)
			conn := c.visit(t)
			c.hasEntered(t)
			for chunk := bytes.Repeat([]byte("x"), 1<<20); test.endless > 0; test.endless -= len(chunk) {
				_, err := conn.Write(chunk)
				require.NoError(t, err)
			}
			_, err := conn.Write(test.sends)
			require.NoError(t, err)
			for range 3 { // while the client is connected
				c.requireServing(t)
				require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
			}
			_, err = io.WriteString(conn, "\ngc\nexit\n")
			require.NoError(t, err)
			out, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.True(t, utf8.Valid(out))
			require.False(t, strings.ContainsFunc(string(out), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }), "%q", out)
			test.answered(t, string(out))
			require.Contains(t, string(out), "collected in", "the session goes on")
			require.InDelta(t, memory, c.peakMemory(t), 32<<10, "KiB")
		})
	}
	t.Run("shuts down its reading side", func(t *testing.T) {
		conn := c.visit(t)
		c.hasEntered(t)
		require.NoError(t, conn.CloseRead())
		_, err := io.WriteString(conn, "gc\n")
		if err != nil { // the session has ended already
			require.ErrorIs(t, err, syscall.EPIPE)
		}
		eventually(t, func() bool {
			return !strings.Contains(c.session(t, "sessions\nexit\n"), "at the prompt")
		}, "the session stays: %s", c.stderr)
		require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	})
	c.requireState(t, before)
}

// requireState waits until the program has no more than before. A goroutine and a few
// threads may remain.
func (c *child) requireState(t *testing.T, before state) {
	t.Helper()
	var now state
	eventually(t, func() bool {
		now = c.state(t)
		return now.goroutines <= before.goroutines+1 && now.descriptors <= before.descriptors && now.threads <= before.threads+4
	}, "something is left: %+v, %+v before", &now, before)
}

// TestAHundredThousandCommandsAtOnce requires that all of them are answered.
func TestAHundredThousandCommandsAtOnce(t *testing.T) {
	t.Parallel()
	const commands = 100_000
	c := startEcho(t)
	conn := c.visit(t)
	var sent atomic.Value
	go func() {
		_, err := io.WriteString(conn, strings.Repeat("x\n", commands)+"exit\n")
		sent.Store(fmt.Sprint(err))
	}()
	answers := 0
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "no command") {
			answers++
		}
		if answers == commands/2 {
			c.requireServing(t)
		}
	}
	require.Equal(t, commands, answers, "sent: %v, received: %v", sent.Load(), lines.Err())
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
}

// TestAClientThatLeavesAfterNBytes reads N bytes of the output and closes, for N from 0
// to the length of the output.
func TestAClientThatLeavesAfterNBytes(t *testing.T) {
	t.Parallel()
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	whole := len(c.session(t, "help exit\nexit\n"))
	for n := 0; n <= whole; n += whole / fewer(whole) {
		conn := c.visit(t)
		_, err := io.WriteString(conn, "help exit\n")
		require.NoError(t, err)
		read := make([]byte, n)
		got, err := io.ReadFull(conn, read)
		conn.Close()
		// The length of the output varies by a few bytes, so the last ones may not come.
		if err != nil && n < whole-200 {
			require.NoError(t, err, "after %d of %d bytes: %s", got, n, read)
		}
	}
	c.requireServing(t)
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	c.requireState(t, before)
}

// TestAClientThatReadsAByteASecond reads slowly for a few seconds, while there is more
// output than a socket holds. The program and other sessions must not wait for it, and no
// output may be missing in the end.
func TestAClientThatReadsAByteASecond(t *testing.T) {
	t.Parallel()
	c := startEcho(t)
	conn := c.visit(t)
	const helps = 400
	_, err := io.WriteString(conn, strings.Repeat("help\n", helps)+"exit\n")
	require.NoError(t, err)
	var out bytes.Buffer
	for range 3 {
		_, err := io.CopyN(&out, conn, 1)
		require.NoError(t, err)
		for wait := time.Now().Add(time.Second); time.Now().Before(wait); {
			c.requireServing(t)
			require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
		}
	}
	_, err = io.Copy(&out, conn)
	require.NoError(t, err)
	require.Equal(t, helps, strings.Count(out.String(), "list the commands, or explain one"))
	require.Contains(t, out.String(), "by identical stacks")
	require.Greater(t, out.Len(), 512<<10, "it did not fit into the socket")
}

// TestClientsWithoutAPid is about a client in another pid namespace, and one that has
// ended before the program accepts it.
func TestClientsWithoutAPid(t *testing.T) {
	t.Run("in another namespace", func(t *testing.T) {
		needRoot(t)
		need(t, "unshare", "util-linux")
		if out, err := testwait.Command(t, "unshare", "--pid", "--fork", "true").CombinedOutput(); err != nil {
			t.Skipf("needs unshare --pid: %v: %s", err, out)
		}
		cmd := exec.Command(plain(t, "./program"), "deadlocked")
		path := filepath.Join(t.TempDir(), "s")
		cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		c := start(t, cmd, "ready")
		c.path = path
		out := c.session(t, "sessions\nexit\n")
		require.Contains(t, out, "program, pid 1, ", "its own pid, in its namespace")
		require.Contains(t, out, "you are a process of another pid namespace, uid 0; help")
		require.Contains(t, out, ">>> * 1  a process of another pid namespace, uid 0, since")
		eventually(t, func() bool { return strings.Contains(c.stderr.String(), "session closed") }, "not logged: %s", c.stderr)
		require.Contains(t, c.stderr.String(), "oneshot: session open client_pid=0 client_uid=0")
	})
	t.Run("that has ended", func(t *testing.T) {
		c := startEcho(t)
		for range 20 { // warms up
			c.session(t, "mem\nexit\n")
		}
		before := c.state(t)
		for range 20 {
			c.open(t)
			c.signal(t, syscall.SIGSTOP) // so that it accepts the client later
			gone := testwait.Command(t, plain(t, "./program"), "gone", c.path)
			out, err := gone.CombinedOutput()
			require.NoError(t, err, "%s", out)
			c.signal(t, syscall.SIGCONT)
			closed := fmt.Sprintf("oneshot: session closed client_pid=%d client_uid=%d ", gone.Process.Pid, os.Geteuid())
			eventually(t, func() bool { return strings.Contains(c.stderr.String(), closed) }, "%s is not logged: %s", closed, c.stderr)
		}
		require.Regexp(t, `session closed .*reason="`, c.stderr.String())
		require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
		c.requireState(t, before)
	})
}
