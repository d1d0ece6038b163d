//go:build linux || darwin || freebsd

package unixsock

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// connect returns both ends of a connection.
func connect(t *testing.T, ln *Listener, path string) (client *net.UnixConn, fd int) {
	t.Helper()
	client = dial(t, path)
	fd, err := ln.AcceptNow()
	require.NoError(t, err)
	return client, fd
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	local := &net.UnixAddr{Name: filepath.Join(testwait.TempDir(t), "c"), Net: "unix"}
	conn, err := net.DialUnix("unix", local, &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(testwait.Patience)))
	return conn
}

func listen(t *testing.T) (ln *Listener, path string) {
	t.Helper()
	path = filepath.Join(testwait.TempDir(t), "s")
	ln, err := Listen(path)
	require.NoError(t, err)
	return ln, path
}

func TestAClientAsTheKernelSeesIt(t *testing.T) {
	ln, path := listen(t)
	defer ln.Close()
	client, fd := connect(t, ln, path)
	f := os.NewFile(uintptr(fd), "client")
	defer f.Close()

	pid, uid, gid, err := Peer(fd)
	require.NoError(t, err)
	require.Contains(t, []int{0, os.Getpid()}, pid, "0 where the kernel does not report it")
	require.Equal(t, os.Geteuid(), uid)
	require.Equal(t, os.Getegid(), gid)
	require.Equal(t, client.LocalAddr().String(), PeerName(fd))

	require.NoError(t, client.CloseWrite())
	require.False(t, HungUp(uintptr(fd)), "it has only ended its input")
	n, err := Read(uintptr(fd), make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = Write(uintptr(fd), []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	require.NoError(t, CloseWrite(fd))
	text, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, "hello", string(text))

	require.NoError(t, client.Close())
	require.True(t, HungUp(uintptr(fd)))
	_, err = Write(uintptr(fd), []byte("late"))
	require.Error(t, err, "and no SIGPIPE")
}

func TestAcceptWaitsForAClient(t *testing.T) {
	ln, path := listen(t)
	defer ln.Close()
	require.False(t, ln.Waiting())
	ln.StartWaiting(time.Now().Add(testwait.Patience))
	require.True(t, ln.Waiting())
	type accepted struct {
		fd  int
		err error
	}
	got := make(chan accepted, 1)
	go func() {
		fd, err := ln.Accept()
		got <- accepted{fd, err}
	}()
	dial(t, path)
	a := testwait.Receive(t, got, "the client")
	require.NoError(t, a.err)
	require.NoError(t, os.NewFile(uintptr(a.fd), "client").Close())
}

func TestAcceptEndsWithTheListener(t *testing.T) {
	ln, _ := listen(t)
	ln.StartWaiting(time.Now().Add(testwait.Patience))
	ln.Close()
	_, err := ln.Accept()
	require.Error(t, err)
}

func TestTurnAwayReachesConnectedClients(t *testing.T) {
	ln, path := listen(t)
	defer ln.Close()
	clients := []*net.UnixConn{dial(t, path), dial(t, path), dial(t, path)}
	ln.TurnAway(func(fd int) {
		_, err := Write(uintptr(fd), []byte("too late"))
		require.NoError(t, err)
		require.NoError(t, os.NewFile(uintptr(fd), "client").Close())
	})
	for _, c := range clients {
		text, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "too late", string(text))
	}
}

// The listener is closed here. Its copy, as in a forked process, must still work.
func TestAnAbandonedListener(t *testing.T) {
	ln, path := listen(t)
	other, err := ln.dup()
	require.NoError(t, err)
	defer other.Close()
	before := openDescriptors(t)
	ln.Abandon()
	require.Equal(t, before-1, openDescriptors(t))
	client, fd := connect(t, other, path)
	require.NoError(t, os.NewFile(uintptr(fd), "client").Close())
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// dup returns a copy of the descriptor.
func (l *Listener) dup() (*Listener, error) {
	fd, err := kernel.Socket(syscall.SOCK_STREAM)
	if err == nil {
		err = Dup2(l.FD, fd)
	}
	return &Listener{FD: fd, ID: l.ID}, err
}

func TestAFileHasAnOwner(t *testing.T) {
	ln, path := listen(t)
	defer ln.Close()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.True(t, OwnedBy(info, os.Geteuid()))
	require.False(t, OwnedBy(info, os.Geteuid()+1))
}

func TestAnOpenFileHasTheIDOfItsPath(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	defer f.Close()
	of, err := IDOf(int(f.Fd()))
	require.NoError(t, err)
	at, _, err := IDAt(f.Name())
	require.NoError(t, err)
	require.Equal(t, at, of)
	require.NotZero(t, at)
}
