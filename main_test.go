//go:build linux || darwin || freebsd

package oneshot

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestMain also runs the programs in program_test.go.
func TestMain(m *testing.M) {
	if name := os.Getenv(programEnv); name != "" {
		runProgram(name)
	}
	testwait.HeedHangup()
	// By default each program sleeps for a second at its end under the race detector.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	goleak.VerifyTestMain(m)
}

// eventually is testwait.Eventually, which nearly every test uses.
func eventually(t testing.TB, f func() bool, what string, args ...any) {
	t.Helper()
	testwait.Eventually(t, f, what, args...)
}

// inTime returns a context with a deadline for a call of the test itself.
func inTime(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	t.Cleanup(cancel)
	return ctx
}

// testManhole is a manhole with its log. It is uninstalled at the end of the test.
type testManhole struct {
	*Manhole
	log *testwait.Buffer
}

// install installs a manhole with its own path and log.
func install(t *testing.T, o Options) testManhole {
	t.Helper()
	log := &testwait.Buffer{}
	if o.SocketPath == "" {
		o.SocketPath = filepath.Join(testwait.TempDir(t), "s")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	m, err := Install(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = m.Uninstall() // the test may have done so
		eventually(t, func() bool { return m.sessionCount() == 0 }, "a session does not end")
		m.log.Flush(testwait.Patience)
	})
	return testManhole{m, log}
}

func (m *Manhole) sessionCount() int {
	inside, _ := m.sessions.running()
	return len(inside)
}

// testHost replaces the manhole for the sessions of a test, and has their log.
type testHost struct {
	*host
	log *testwait.Buffer
}

// hostFor returns a host. All its sessions must end soon after the end of the test.
func hostFor(t testing.TB, o Options) testHost {
	t.Helper()
	h := testHost{log: &testwait.Buffer{}, host: &host{
		greeting:    func() []byte { return command.Greeting(os.Getpid()) },
		uptime:      func() time.Duration { return time.Hour },
		disposition: func(syscall.Signal) string { return "not known" },
		deactivate:  func() bool { return false },
	}}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	}
	h.oracle = sigthread.New()
	require.NoError(t, h.set(o))
	t.Cleanup(func() {
		h.ended(t)
		h.host.log.Flush(testwait.Patience)
	})
	return h
}

// ended waits for the end of all sessions.
func (h testHost) ended(t testing.TB) {
	t.Helper()
	if inside, left := h.sessions.running(); len(inside) > 0 {
		testwait.Receive(t, left, "the end of the last session")
	}
}

// start runs a session over a socketpair.
func (h testHost) start(t testing.TB) (*Session, client) {
	t.Helper()
	return h.startAs(t, "")
}

// startAs runs a session of a client whose socket has the given name.
func (h testHost) startAs(t testing.TB, name string) (*Session, client) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.SetNonblock(fds[0], true))
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	if name != "" {
		require.NoError(t, syscall.Bind(fds[1], &syscall.SockaddrUnix{Name: name}))
	}
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	conn, err := net.FileConn(theirs)
	require.NoError(t, err)
	theirs.Close()
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*testwait.Patience)))

	s := newSession(h.host)
	require.NoError(t, s.enter(Cred{PID: os.Getpid(), UID: os.Geteuid()}))
	s.begin(fds[0])
	ours.Go(s.run)
	return s, client{t, conn.(*net.UnixConn)}
}

// enter runs a session and reads up to the first prompt.
func (h testHost) enter(t testing.TB) client {
	t.Helper()
	_, c := h.start(t)
	c.expect(protocol.Prompt)
	return c
}

// client is a connected test client.
type client struct {
	t testing.TB
	*net.UnixConn
}

// connect polls until the socket exists. A refused connection is a failure: a socket at
// the path must accept clients.
func connect(t *testing.T, path string) client {
	t.Helper()
	deadline := time.Now().Add(testwait.Patience)
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			require.NoError(t, conn.SetDeadline(time.Now().Add(2*testwait.Patience)))
			return client{t, conn.(*net.UnixConn)}
		}
		require.ErrorIs(t, err, syscall.ENOENT)
		if time.Now().After(deadline) {
			require.FailNow(t, "no socket", path)
		}
	}
}

// connectAbstract polls until it can connect, because an abstract socket has no file.
func connectAbstract(t *testing.T, name string) client {
	t.Helper()
	var conn net.Conn
	eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", name)
		return err == nil
	}, "no socket %s", name)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*testwait.Patience)))
	return client{t, conn.(*net.UnixConn)}
}

// expect reads until text and returns everything up to it.
func (c client) expect(text string) string {
	c.t.Helper()
	var got []byte
	var b [1]byte
	for !bytes.HasSuffix(got, []byte(text)) {
		n, err := c.Read(b[:])
		got = append(got, b[:n]...)
		if err != nil {
			require.FailNow(c.t, "the session ended early", "waiting for %q: %v, after %q", text, err, got)
		}
	}
	return strings.TrimSuffix(string(got), text)
}

func (c client) send(text string) {
	c.t.Helper()
	_, err := c.Write([]byte(text))
	require.NoError(c.t, err)
}

// rest reads until the end.
func (c client) rest() string {
	c.t.Helper()
	var b bytes.Buffer
	_, err := b.ReadFrom(c.UnixConn)
	if err != nil { // the session has closed its end without reading all of our input
		require.ErrorIs(c.t, err, syscall.ECONNRESET, "waiting for the end, after %q", b.String())
	}
	return b.String()
}

// leave reads the first screen and leaves the session.
func (c client) leave() {
	c.t.Helper()
	c.expect(protocol.Prompt)
	c.send("exit\n")
	require.Empty(c.t, c.rest())
}

// do runs one command and returns its output.
func (c client) do(line string) string {
	c.t.Helper()
	c.send(line + "\n")
	return c.expect(protocol.Prompt)
}

// enter opens a window with Oneshot, not by signal, and reads up to the first
// prompt.
func (m testManhole) enter(t *testing.T) client {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- m.Oneshot(context.Background()) }()
	c := connect(t, m.Path())
	t.Cleanup(func() {
		c.Close()
		require.NoError(t, testwait.Receive(t, done, "Oneshot to return"))
	})
	c.expect(protocol.Prompt)
	return c
}

// visitBriefly enters an open window and leaves without waiting for the dump,
// which takes its time where the CPUs are busy.
func (m testManhole) visitBriefly(t *testing.T) {
	t.Helper()
	c := connect(t, m.Path())
	c.expect("\n")
	c.Close()
	eventually(t, func() bool { return m.sessionCount() == 0 }, "the session does not end")
}

func kill(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(os.Getpid(), sig))
}

func requireGone(t *testing.T, path string) {
	t.Helper()
	_, err := os.Lstat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
