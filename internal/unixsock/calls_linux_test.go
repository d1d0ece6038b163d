package unixsock

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestTheModeOfTheDescriptorCannotBeSet(t *testing.T) {
	requireNoSocket(t, func(c *Calls) { c.Fchmod = func(int, uint32) error { return unix.EPERM } }, unix.EPERM, "fchmod: operation not permitted")
}

// steps replaces Renameat2 by functions that are called one after another. If one is nil,
// the kernel is called.
func steps(t *testing.T, do ...func(from, to string) error) func(*Calls) {
	return func(c *Calls) {
		c.Renameat2 = func(from, to string, flags uint) error {
			if len(do) == 0 {
				t.Error("one more call of renameat2")
				return unix.EIO
			}
			step := do[0]
			do = do[1:]
			if step == nil {
				return kernel.Renameat2(from, to, flags)
			}
			return step(from, to)
		}
	}
}

func failing(errno error) func(string, string) error {
	return func(string, string) error { return errno }
}

// TestAMoveFails replaces a dead socket. In each case renameat2 returns an error at one
// step of Move.
func TestAMoveFails(t *testing.T) {
	removed := func(_, to string) error { return os.Remove(to) } // it removes the socket and returns no error
	exist := failing(unix.EEXIST)
	for _, test := range []struct {
		name  string
		steps []func(from, to string) error
		says  string // empty: the move succeeds
	}{
		{"the flags are not known", []func(_, _ string) error{failing(unix.EINVAL)}, ""},
		{"the call is not known", []func(_, _ string) error{failing(unix.ENOSYS)}, ""},
		{"the call is not allowed", []func(_, _ string) error{failing(unix.EPERM)}, ""},
		{"the file system is full", []func(_, _ string) error{failing(unix.ENOSPC)}, "rename TMP PATH: no space left on device"},
		{"exchange is not known", []func(_, _ string) error{nil, failing(unix.EINVAL)}, ""},
		{"exchange is not implemented", []func(_, _ string) error{nil, failing(unix.ENOSYS)}, ""},
		{"exchange is denied", []func(_, _ string) error{nil, failing(unix.EACCES)}, "replace the dead socket TMP PATH: permission denied"},
		{"the dead socket is removed before the look", []func(_, _ string) error{
			func(_, to string) error { _ = removed("", to); return unix.EEXIST }, nil}, ""},
		{"the dead socket is removed before the exchange", []func(_, _ string) error{nil,
			func(_, to string) error { _ = removed("", to); return unix.ENOENT }, nil}, ""},
		{"it keeps changing", []func(_, _ string) error{exist, failing(unix.ENOENT), exist, failing(unix.ENOENT),
			exist, failing(unix.ENOENT), exist, failing(unix.ENOENT)}, ErrInUse.Error() + ": PATH keeps changing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(testwait.TempDir(t), "s")
			leaveDeadSocket(t, path)
			ln, err := Listen(path + ".tmp")
			require.NoError(t, err)
			defer ln.Close()
			restore := Replace(steps(t, test.steps...))
			err = Move(path+".tmp", path)
			restore()
			if test.says == "" {
				require.NoError(t, err)
				require.NoError(t, Remove(path, ln.ID), "ours is at the path")
			} else {
				require.EqualError(t, err, strings.NewReplacer("PATH", path, "TMP", path+".tmp").Replace(test.says))
				require.NoError(t, Remove(path+".tmp", ln.ID), "ours is at its temporary name")
			}
		})
	}
}

// Somebody replaces the dead socket with a file between the check and the exchange.
func TestAFileCreatedMeanwhileIsPutBack(t *testing.T) {
	planted := func(from, to string) error {
		if err := os.Remove(to); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte("precious"), 0o600); err != nil {
			return err
		}
		return kernel.Renameat2(from, to, unix.RENAME_EXCHANGE)
	}
	gone := func(_, to string) error { // somebody removes our socket
		if err := os.Remove(to); err != nil {
			return err
		}
		return unix.ENOENT
	}
	for _, test := range []struct {
		name  string
		steps []func(from, to string) error
		at    string // suffix of the name under which the file must be in the end
		says  string
	}{
		{"put back", []func(_, _ string) error{nil, planted, nil, nil}, "", "PATH is not a socket but a regular file; remove it or set SocketPath"},
		{"not put back", []func(_, _ string) error{nil, planted, failing(unix.EIO)}, ".tmp", "put back what is not ours TMP PATH: input/output error"},
		{"put back without ours", []func(_, _ string) error{nil, planted, gone, nil, failing(unix.ENOENT)}, "", "rename TMP PATH: no such file or directory"},
		{"removed before it is put back", []func(_, _ string) error{nil, planted, func(from, to string) error {
			return errors.Join(os.Remove(from), kernel.Renameat2(from, to, unix.RENAME_EXCHANGE))
		}, nil}, "", ""},
		{"not put back without ours", []func(_, _ string) error{nil, planted, gone, failing(unix.EIO)}, ".tmp", "put back what is not ours TMP PATH: input/output error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(testwait.TempDir(t), "s")
			leaveDeadSocket(t, path)
			ln, err := Listen(path + ".tmp")
			require.NoError(t, err)
			defer ln.Close()
			restore := Replace(steps(t, test.steps...))
			err = Move(path+".tmp", path)
			restore()
			if test.says == "" {
				require.NoError(t, err)
				require.NoError(t, Remove(path, ln.ID), "ours is at the path")
				require.NoFileExists(t, path+".tmp")
				return
			}
			require.EqualError(t, err, strings.NewReplacer("PATH", path, "TMP", path+".tmp").Replace(test.says))
			text, err := os.ReadFile(path + test.at)
			require.NoError(t, err)
			require.Equal(t, "precious", string(text))
		})
	}
}

// Our socket is at the path, and the dead one has the temporary name.
func TestTheExchangedSocketCannotBeRemoved(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	leaveDeadSocket(t, path)
	ln, err := Listen(path + ".tmp")
	require.NoError(t, err)
	defer ln.Close()
	restore := Replace(func(c *Calls) { c.Unlink = func(string) error { return unix.EBUSY } })
	err = Move(path+".tmp", path)
	restore()
	require.EqualError(t, err, "unlink: device or resource busy")
	require.NoError(t, Remove(path, ln.ID))
}

// TestTheDeadSocketIsPinned requires that a descriptor keeps the inode of the dead socket
// until Move has decided what is at the temporary name. Otherwise the file system could give
// its number to the file of somebody else, and Move would remove that file.
func TestTheDeadSocketIsPinned(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	leaveDeadSocket(t, path)
	dead, _, err := IDAt(path)
	require.NoError(t, err)
	ln, err := Listen(path + ".tmp")
	require.NoError(t, err)
	defer ln.Close()
	pinned := func(from, to string) error {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, e := range entries {
			fd, err := strconv.Atoi(e.Name())
			require.NoError(t, err)
			if id, err := IDOf(fd); err == nil && id == dead {
				return kernel.Renameat2(from, to, unix.RENAME_EXCHANGE)
			}
		}
		return errors.New("no descriptor of the dead socket is open")
	}
	before := openDescriptors(t)
	restore := Replace(steps(t, nil, pinned))
	defer restore()
	require.NoError(t, Move(path+".tmp", path))
	require.Equal(t, before, openDescriptors(t))
}
