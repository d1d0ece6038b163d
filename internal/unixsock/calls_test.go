//go:build linux || darwin || freebsd

package unixsock

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// replace replaces system calls for the rest of a test.
func replace(t *testing.T, change func(*Calls)) {
	t.Helper()
	t.Cleanup(Replace(change))
}

// openDescriptors returns the number of open descriptors.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	require.NoError(t, err)
	return len(entries)
}

// In every case, the error must name the call, and no descriptor and no file may be left.
func TestASocketThatCannotBeMade(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Calls)
		errno  error
		says   string
	}{
		{"socket", func(c *Calls) { c.Socket = func(int) (int, error) { return -1, unix.EMFILE } }, unix.EMFILE, "socket: too many open files"},
		{"bind", func(c *Calls) { c.Bind = func(int, string) error { return unix.ENOSPC } }, unix.ENOSPC, "bind PATH: no space left on device"},
		{"lstat", func(c *Calls) { c.Lstat = failingLstat(unix.EIO) }, unix.EIO, "lstat PATH: input/output error"},
		{"chmod", func(c *Calls) {
			c.Bind = bindWith(0o700)
			c.Chmod = func(path string, _ fs.FileMode) error { return &fs.PathError{Op: "chmod", Path: path, Err: unix.EROFS} }
		}, unix.EROFS, "chmod PATH: read-only file system"},
		{"listen", func(c *Calls) { c.Listen = func(int, int) error { return unix.ENOBUFS } }, unix.ENOBUFS, "listen: no buffer space available"},
	} {
		t.Run(test.name, func(t *testing.T) { requireNoSocket(t, test.change, test.errno, test.says) })
	}
}

// requireNoSocket calls Listen with some system calls replaced. It requires that nothing
// is left.
func requireNoSocket(t *testing.T, change func(*Calls), errno error, says string) {
	t.Helper()
	dir := testwait.TempDir(t)
	before := openDescriptors(t)
	restore := Replace(change)
	ln, err := Listen(dir + "/s")
	restore()
	require.Nil(t, ln)
	require.ErrorIs(t, err, errno)
	require.EqualError(t, err, strings.ReplaceAll(says, "PATH", dir+"/s"))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Equal(t, before, openDescriptors(t))
}

func failingLstat(errno error) func(string) (fs.FileInfo, error) {
	return func(path string) (fs.FileInfo, error) { return nil, &fs.PathError{Op: "lstat", Path: path, Err: errno} }
}

// bindWith returns a bind that creates the file with that mode, as with an unusual umask.
func bindWith(mode fs.FileMode) func(int, string) error {
	return func(fd int, path string) error {
		return errors.Join(kernel.Bind(fd, path), os.Chmod(path, mode))
	}
}

func TestTheModeIsSetIfBindSetsAnother(t *testing.T) {
	replace(t, func(c *Calls) { c.Bind = bindWith(0o400) })
	path := filepath.Join(testwait.TempDir(t), "s")
	ln, err := Listen(path)
	require.NoError(t, err)
	defer ln.Close()
	_, mode, err := IDAt(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, mode)
}

// TestChmodFollowsNoLink has somebody put a link or a file in place of the socket, below an
// unusual umask.
func TestChmodFollowsNoLink(t *testing.T) {
	for _, plant := range []func(victim, path string) error{os.Symlink, os.Link} {
		dir := testwait.TempDir(t)
		victim := filepath.Join(dir, "victim")
		require.NoError(t, os.WriteFile(victim, nil, 0o640))
		require.NoError(t, os.Chmod(victim, 0o640)) // whatever the umask is
		restore := Replace(func(c *Calls) {
			c.Bind = func(fd int, path string) error {
				return errors.Join(bindWith(0o400)(fd, path), os.Remove(path), plant(victim, path))
			}
		})
		ln, err := Listen(filepath.Join(dir, "s"))
		restore()
		if err == nil {
			ln.Close()
		}
		info, err := os.Stat(victim)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o640), info.Mode())
	}
}

// The caller gets the error, and may try again.
func TestAcceptFails(t *testing.T) {
	ln, err := Listen(filepath.Join(testwait.TempDir(t), "s"))
	require.NoError(t, err)
	defer ln.Close()
	_, err = ln.AcceptNow()
	require.ErrorIs(t, err, unix.EAGAIN, "there is no client")

	restore := Replace(func(c *Calls) { c.Accept = func(int) (int, error) { return -1, unix.ENFILE } })
	_, err = ln.AcceptNow()
	require.ErrorIs(t, err, unix.ENFILE)
	ln.TurnAway(func(int) { t.Error("there is no client") })
	ln.StartWaiting(time.Now().Add(testwait.Patience))
	_, err = ln.Accept()
	require.EqualError(t, err, "accept: too many open files in system")
	restore()

	ln.SetDeadline(time.Now().Add(time.Millisecond))
	_, err = ln.Accept()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// If the check fails, the file at the path must not be replaced.
func TestCheckingThePathFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Calls)
		says   string // "": the path is free
	}{
		{"lstat EACCES", func(c *Calls) { c.Lstat = failingLstat(unix.EACCES) }, "lstat PATH: permission denied"},
		{"lstat ENOENT", func(c *Calls) { c.Lstat = failingLstat(unix.ENOENT) }, ""},
		{"socket EMFILE", func(c *Calls) { c.Socket = func(int) (int, error) { return -1, unix.EMFILE } },
			"PATH: cannot find out whether the socket is in use: socket: too many open files"},
		{"connect EACCES", connecting(unix.EACCES), "PATH is a socket of somebody else: connect: permission denied; remove it or set SocketPath"},
		{"connect EPERM", connecting(unix.EPERM), "PATH is a socket of somebody else: connect: operation not permitted; remove it or set SocketPath"},
		{"connect EIO", connecting(unix.EIO), "PATH: cannot find out whether the socket is in use: connect: input/output error"},
		{"connect ENOENT", connecting(unix.ENOENT), ""},
		{"connect EPROTOTYPE", connecting(unix.EPROTOTYPE), ErrInUse.Error() + ": PATH; end its owner or set SocketPath"},
		{"connect succeeds", connecting(nil), ErrInUse.Error() + ": PATH; end its owner or set SocketPath"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(testwait.TempDir(t), "s")
			leaveDeadSocket(t, path)
			before := openDescriptors(t)
			restore := Replace(test.change)
			dead, err := DeadAt(path)
			restore()
			require.Nil(t, dead)
			if test.says == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, strings.ReplaceAll(test.says, "PATH", path))
			}
			require.Equal(t, before, openDescriptors(t))
		})
	}
}

func connecting(err error) func(*Calls) {
	return func(c *Calls) { c.Connect = func(int, string) error { return err } }
}

// moveAfterLook must return the error, and must not touch the file at the path unless it
// is a dead socket.
func TestAMoveInTwoStepsFails(t *testing.T) {
	linking := func(err error) func(*Calls) {
		return func(c *Calls) {
			c.Link = func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: err} }
		}
	}
	for _, test := range []struct {
		name   string
		change func(*Calls)
		moved  bool
		says   string
	}{
		{"link EPERM", linking(unix.EPERM), true, ""},
		{"link ENOTSUP", linking(unix.ENOTSUP), true, ""},
		{"link ENOSYS", linking(unix.ENOSYS), true, ""},
		{"link ENOSPC", linking(unix.ENOSPC), false, "link TMP PATH: no space left on device"},
		{"link EEXIST", linking(unix.EEXIST), false, ErrInUse.Error() + ": PATH: somebody else is putting things there"},
		{"unlink EACCES", func(c *Calls) { c.Unlink = func(string) error { return unix.EACCES } }, false,
			ErrInUse.Error() + ": PATH: somebody else is putting things there"},
		{"rename EACCES", func(c *Calls) {
			linking(unix.EPERM)(c)
			c.Rename = func(from, to string) error {
				return &os.LinkError{Op: "rename", Old: from, New: to, Err: unix.EACCES}
			}
		}, false, "rename TMP PATH: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(testwait.TempDir(t), "s")
			leaveDeadSocket(t, path)
			ln, err := Listen(path + ".tmp")
			require.NoError(t, err)
			defer ln.Close()
			restore := Replace(test.change)
			err = moveAfterLook(path+".tmp", path)
			restore()
			now, _, lookErr := IDAt(path)
			if test.moved {
				require.NoError(t, err)
				require.NoError(t, lookErr)
				require.Equal(t, ln.ID, now)
				return
			}
			require.EqualError(t, err, strings.NewReplacer("PATH", path, "TMP", path+".tmp").Replace(test.says))
			require.NotEqual(t, ln.ID, now)
			require.NoError(t, Remove(path+".tmp", ln.ID), "ours is at its temporary name")
		})
	}
}

func TestARemovalFails(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	ln, err := Listen(path)
	require.NoError(t, err)
	defer ln.Close()
	restore := Replace(func(c *Calls) { c.Lstat = failingLstat(unix.EIO) })
	require.EqualError(t, Remove(path, ln.ID), "lstat "+path+": input/output error")
	restore()
	restore = Replace(func(c *Calls) { c.Unlink = func(string) error { return unix.EROFS } })
	require.EqualError(t, Remove(path, ln.ID), "unlink "+path+": read-only file system")
	restore()
	require.NoError(t, Remove(path, ln.ID))
}

// With a wrong descriptor, every function must return an error and must not panic.
func TestWrongDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	pipe := int(r.Fd())
	_, _, _, err = Peer(pipe)
	require.ErrorIs(t, err, unix.ENOTSOCK)
	require.Empty(t, PeerName(pipe))
	require.ErrorIs(t, CloseWrite(pipe), unix.ENOTSOCK)
	_, err = IDOf(-1)
	require.EqualError(t, err, "fstat: bad file descriptor")
	require.False(t, HungUp(^uintptr(0)))
	require.ErrorIs(t, Dup2(-1, pipe), unix.EBADF)
	_, err = Read(^uintptr(0), make([]byte, 1))
	require.ErrorIs(t, err, unix.EBADF)
	_, err = Write(^uintptr(0), make([]byte, 1))
	require.ErrorIs(t, err, unix.EBADF)
	require.ErrorIs(t, CheckWritable("/nowhere"), syscall.ENOENT)
}
