//go:build linux

package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// conversation is a client that reads the answers one by one.
type conversation struct {
	net.Conn
	t *testing.T
}

// dial connects to the open window.
func (c *child) dial(t *testing.T) conversation {
	t.Helper()
	conn, err := net.Dial("unix", c.path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conversation{conn, t}
}

// until reads until text has come, and returns everything that it has read.
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

// says sends a line and requires that the answer contains text.
func (c conversation) says(line, text string) {
	c.t.Helper()
	_, err := fmt.Fprintln(c, line)
	require.NoError(c.t, err)
	require.Contains(c.t, c.until("\n>>> "), text)
}

// begin opens a window and starts a session.
func (c *child) begin(t *testing.T) conversation {
	t.Helper()
	conn := conversation{c.visit(t), t}
	conn.until(">>> ")
	return conn
}

// visit opens a window, connects, and waits until the client has a session.
func (c *child) visit(t *testing.T) (conn *net.UnixConn) {
	t.Helper()
	c.untilThereIsAPlace(t, func() (answer string) {
		c.signal(t, usr2)
		conn = c.connect(t)
		require.NoError(t, conn.SetDeadline(time.Now().Add(2*patience)))
		return peek(t, conn)
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

// connect connects to path as soon as there is a socket.
func (c *child) connect(t *testing.T) *net.UnixConn {
	t.Helper()
	conn, err := net.Dial("unix", c.path)
	for end := time.Now().Add(patience); err != nil; conn, err = net.Dial("unix", c.path) {
		require.True(t, time.Now().Before(end), "no window after %v: %v; %s", patience, err, c.stderr)
		time.Sleep(50 * time.Microsecond) // a short one: some tests make thousands of visits
	}
	return conn.(*net.UnixConn)
}

// peek waits for the first output and returns its beginning, which can still be read.
func peek(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	first := make([]byte, 100)
	n := 0
	var failed error
	require.NoError(t, raw.Read(func(fd uintptr) bool {
		n, _, failed = unix.Recvfrom(int(fd), first, unix.MSG_PEEK)
		return failed != unix.EAGAIN
	}), "no output")
	require.NoError(t, failed)
	return string(first[:n])
}

// untilThereIsAPlace calls enter, which connects and returns the beginning of the output,
// until it is not refused because too many sessions are open. The sessions of clients that
// have left may not have ended yet. The window stays open for the next try.
func (c *child) untilThereIsAPlace(t *testing.T, enter func() (output string)) {
	t.Helper()
	var output string
	eventually(t, func() bool {
		output = enter()
		return !strings.HasPrefix(output, protocol.Refused) || !strings.Contains(output, " sessions are open already")
	}, "no place becomes free: %s; %s", lazily(&output), c.stderr)
}

// placesAreFree waits until all sessions have ended, but for the one that asks, and
// perhaps the one that asked before.
func (c *child) placesAreFree(t *testing.T) {
	t.Helper()
	var output string
	eventually(t, func() bool {
		output = c.session(t, "sessions\nexit\n")
		return strings.Count(output, ", since ") <= 2
	}, "sessions do not end: %s; %s", lazily(&output), c.stderr)
}

// hasEntered waits until the path is gone, because the only client has a session. Then
// another window can be opened for other clients.
func (c *child) hasEntered(t *testing.T) {
	t.Helper()
	eventually(t, func() bool { _, err := os.Lstat(c.path); return os.IsNotExist(err) }, "nobody enters: %s", c.stderr)
}

// answers connects to path without sending a signal, and returns what answerOf does.
func (c *child) answers(t *testing.T, path string) (out string) {
	t.Helper()
	at := *c
	at.path = path
	c.untilThereIsAPlace(t, func() string {
		out = answerOf(t, at.connect(t))
		return out
	})
	return out
}

// answerOf runs gc and exit in a session and returns all output.
func answerOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	return outputOf(t, conn, func() error {
		_, err := io.WriteString(conn, "gc\nexit\n")
		return err
	})
}

// outputOf calls send and returns all output.
func outputOf(t *testing.T, conn net.Conn, send func() error) string {
	t.Helper()
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	sent := send()
	out, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(out), protocol.Refused) { // otherwise it may have been too late to send something
		require.NoError(t, err, "%s", out)
		require.NoError(t, sent, "%s", out)
	}
	return string(out)
}

// session opens a window, sends input in a session and returns all output.
func (c *child) session(t *testing.T, input string) (out string) {
	t.Helper()
	c.untilThereIsAPlace(t, func() string {
		c.signal(t, usr2)
		conn := c.connect(t)
		out = outputOf(t, conn, func() error {
			if _, err := io.WriteString(conn, input); err != nil {
				return err
			}
			return conn.CloseWrite()
		})
		return out
	})
	return out
}
