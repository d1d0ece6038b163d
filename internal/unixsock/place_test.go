//go:build linux || darwin || freebsd

package unixsock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// leaveDeadSocket leaves a socket at path on which nobody listens.
func leaveDeadSocket(t *testing.T, path string) {
	t.Helper()
	ln, err := Listen(path)
	require.NoError(t, err)
	ln.Close()
}

// The next tests are for file systems that cannot exchange, or rename without replacing.

func TestAMoveInTwoSteps(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	for _, before := range []string{"nothing", "dead socket"} {
		t.Run(before, func(t *testing.T) {
			if before == "dead socket" {
				leaveDeadSocket(t, path)
			}
			ln, err := Listen(path + ".tmp")
			require.NoError(t, err)
			defer ln.Close()
			ours, _, err := IDAt(path + ".tmp")
			require.NoError(t, err)
			require.NoError(t, moveAfterLook(path+".tmp", path))
			now, mode, err := IDAt(path)
			require.NoError(t, err)
			require.Equal(t, ours, now)
			require.EqualValues(t, 0o600, mode)
			require.NoFileExists(t, path+".tmp")
			require.NoError(t, os.Remove(path))
		})
	}
	live, err := Listen(path)
	require.NoError(t, err)
	defer live.Close()
	require.ErrorIs(t, moveAfterLook(path+".tmp", path), ErrInUse)
}

// Somebody else creates a file at the path between the two steps.
func TestAMoveInTwoStepsOverwritesNothing(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	var over atomic.Bool
	lost, planted := make(chan error, 1), atomic.Int64{}
	defer func() { // also when the test has failed
		over.Store(true)
		for range lost {
		}
	}()
	go func() {
		defer close(lost)
		for !over.Load() {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				continue
			}
			planted.Add(1)
			mine, _ := f.Stat()
			f.Close()
			runtime.Gosched()
			now, err := os.Lstat(path)
			if err != nil || !os.SameFile(now, mine) {
				lost <- errors.Join(errors.New("the file is not there any more"), err)
				return
			}
			_ = os.Remove(path)
		}
	}()
	deadline := time.Now().Add(4 * testwait.Patience) // on a busy machine it took 20 s
	for moved := 0; moved < 2000 || planted.Load() < 500; {
		if time.Now().After(deadline) {
			require.FailNowf(t, "timeout", "waited for 2000 moves and 500 files, saw %d and %d", moved, planted.Load())
		}
		ln, err := Listen(path + ".tmp")
		require.NoError(t, err)
		if err := moveAfterLook(path+".tmp", path); err == nil {
			moved++
			_ = syscall.Unlink(path) // the socket, which nobody has replaced
		} else {
			require.Regexp(t, "not a socket but a regular file|somebody else is putting things there", err.Error())
			require.NoError(t, os.Remove(path+".tmp"))
		}
		ln.Close()
		if len(lost) > 0 {
			break
		}
	}
	over.Store(true)
	require.NoError(t, testwait.Receive(t, lost, "the end of who puts files there"))
}

// A dead socket is one on which nobody listens.
func TestOnlyADeadSocketMayBeReplaced(t *testing.T) {
	for _, test := range []struct {
		what string
		make func(t *testing.T, path string)
		says string // empty: it may be replaced
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"a dead socket", leaveDeadSocket, ""},
		{"a regular file", func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, nil, 0o600)) }, "is not a socket but a regular file; remove it"},
		{"a directory", func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }, "is not a socket but a directory; remove it"},
		{"a symbolic link", func(t *testing.T, path string) {
			leaveDeadSocket(t, path+".dead")
			require.NoError(t, os.Symlink(path+".dead", path))
		}, "is not a socket but a symbolic link; remove it"},
		{"a named pipe", func(t *testing.T, path string) { require.NoError(t, syscall.Mkfifo(path, 0o600)) }, "is not a socket but a named pipe; remove it"},
		{"a listening socket", func(t *testing.T, path string) {
			ln, err := Listen(path)
			require.NoError(t, err)
			t.Cleanup(ln.Close)
		}, ErrInUse.Error() + ": "},
		{"a datagram socket", func(t *testing.T, path string) {
			conn, err := net.ListenPacket("unixgram", path)
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
		}, ErrInUse.Error() + ": "},
	} {
		t.Run(test.what, func(t *testing.T) {
			path := filepath.Join(testwait.TempDir(t), "s")
			test.make(t, path)
			before, statErr := os.Lstat(path)
			ln, err := Listen(path + ".tmp")
			require.NoError(t, err)
			defer ln.Close()
			_, err = DeadAt(path)
			moved := Move(path+".tmp", path)
			if test.says == "" {
				require.NoError(t, err)
				require.NoError(t, moved)
				now, mode, err := IDAt(path)
				require.NoError(t, err)
				require.Equal(t, ln.ID, now)
				require.EqualValues(t, 0o600, mode)
				require.NoFileExists(t, path+".tmp")
				return
			}
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, path)
			require.EqualError(t, moved, err.Error())
			require.NoError(t, statErr)
			after, err := os.Lstat(path)
			require.NoError(t, err)
			require.True(t, os.SameFile(before, after))
		})
	}
}

func TestOnlyTheSocketWithTheIDIsRemoved(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	ln, err := Listen(path)
	require.NoError(t, err)
	defer ln.Close()
	require.NoError(t, os.Rename(path, path+".moved"))
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	require.EqualError(t, Remove(path, ln.ID), "something else stands there now; it is left alone")
	require.FileExists(t, path)
	require.NoError(t, Remove(path+".moved", ln.ID))
	require.ErrorIs(t, Remove(path+".moved", ln.ID), os.ErrNotExist)
}
