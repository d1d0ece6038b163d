//go:build linux

package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	c.open(t)
	conn := c.dial(t)
	conn.until(">>> ")
	return conn
}

// visit opens a window and connects.
func (c *child) visit(t *testing.T) *net.UnixConn {
	t.Helper()
	c.signal(t, usr2)
	conn, err := net.Dial("unix", c.path)
	for end := time.Now().Add(patience); err != nil; conn, err = net.Dial("unix", c.path) {
		require.True(t, time.Now().Before(end), "no window after %v: %v; %s", patience, err, c.stderr)
		time.Sleep(50 * time.Microsecond) // a short one: some tests make thousands of visits
	}
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*patience)))
	return conn.(*net.UnixConn)
}

// hasEntered waits until the only connected client has a session. Then another window
// can be opened for other clients.
func (c *child) hasEntered(t *testing.T) {
	t.Helper()
	eventually(t, func() bool { _, err := os.Lstat(c.path); return os.IsNotExist(err) }, "nobody enters: %s", c.stderr)
}

// answers connects to path without sending a signal, and returns what answerOf does.
func (c *child) answers(t *testing.T, path string) string {
	t.Helper()
	var conn net.Conn
	eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", path)
		return err == nil
	}, "no window; %s", c.stderr)
	return answerOf(t, conn)
}

// answerOf runs gc and exit in a session and returns all output.
func answerOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, "gc\nexit\n")
	require.NoError(t, err)
	out, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(out)
}

// session opens a window, sends input in a session and returns all output.
func (c *child) session(t *testing.T, input string) string {
	t.Helper()
	c.signal(t, syscall.SIGUSR2)
	var conn net.Conn
	eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", c.path)
		return err == nil
	}, "no window; %s", c.stderr)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, input)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.UnixConn).CloseWrite())
	out, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(out)
}
