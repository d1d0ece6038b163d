//go:build linux || darwin || freebsd

package oneshot

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Where the file system cannot move without replacing, or exchange.

func TestAMoveInTwoSteps(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	for _, before := range []string{"nothing", "dead socket"} {
		t.Run(before, func(t *testing.T) {
			if before == "dead socket" {
				leaveDeadSocket(t, path)
			}
			ln, err := unixsock.Listen(path + ".tmp")
			require.NoError(t, err)
			defer ln.Close()
			ours, _, err := unixsock.IDAt(path + ".tmp")
			require.NoError(t, err)
			require.NoError(t, unixsock.MoveAfterLook(path+".tmp", path))
			now, mode, err := unixsock.IDAt(path)
			require.NoError(t, err)
			require.Equal(t, ours, now)
			require.EqualValues(t, 0o600, mode)
			requireGone(t, path+".tmp")
			require.NoError(t, os.Remove(path))
		})
	}
	live, err := unixsock.Listen(path)
	require.NoError(t, err)
	defer live.Close()
	require.ErrorIs(t, unixsock.MoveAfterLook(path+".tmp", path), ErrPathInUse)
}

// TestAMoveInTwoStepsOverwritesNothing that somebody puts there between them.
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
	deadline := time.Now().Add(4 * testwait.Patience) // it has taken 20 s on a busy machine
	for moved := 0; moved < 2000 || planted.Load() < 500; {
		if time.Now().After(deadline) {
			require.FailNowf(t, "timeout", "waited for 2000 moves and 500 files, saw %d and %d", moved, planted.Load())
		}
		ln, err := unixsock.Listen(path + ".tmp")
		require.NoError(t, err)
		if err := unixsock.MoveAfterLook(path+".tmp", path); err == nil {
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
