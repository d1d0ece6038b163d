//go:build amd64 || arm64

package trap

import (
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// TestTheWaitForAHangingHandlerIsShort checks that Disarm gives up on a handler
// that does not return. It may be in unlink(2) on a file system that hangs.
func TestTheWaitForAHangingHandlerIsShort(t *testing.T) {
	trap := New([]syscall.Signal{syscall.SIGHUP})
	require.NotNil(t, trap)
	defer trap.Release()
	require.True(t, trap.Arm(1, "/nowhere", "/nowhere.tmp"))
	require.True(t, trap.Disarm())

	require.True(t, trap.Arm(1, "/nowhere", "/nowhere.tmp"))
	theTrap.busy.Add(1) // as at the start of a handler
	began := time.Now()
	require.False(t, trap.Disarm())
	require.False(t, trap.Arm(1, "/other", "/other.tmp"), "the handler may be using the paths")
	require.Less(t, time.Since(began), 10*time.Second)

	theTrap.busy.Add(-1)
	require.True(t, trap.Arm(1, "/other", "/other.tmp"))
	require.True(t, trap.Disarm())
}

// armed takes the trap for SIGHUP, which the test receives, and arms it.
func armed(t *testing.T) (*Trap, chan os.Signal) {
	t.Helper()
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR1)
	trap := New([]syscall.Signal{syscall.SIGHUP})
	require.NotNil(t, trap)
	t.Cleanup(func() {
		trap.Release()
		signal.Stop(c)
	})
	require.True(t, trap.Arm(os.Getpid(), "", ""))
	t.Cleanup(func() { trap.Disarm() })
	return trap, c
}

func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(os.Getpid(), sig))
}

func handlerOf(t *testing.T, sig syscall.Signal) uintptr {
	t.Helper()
	act, err := getAction(sig)
	require.NoError(t, err)
	return act.handler
}

// TestACopyOfTheHandlerServesOtherSignals has code that copies the handler of a signal
// to another signal, as C code may do.
func TestACopyOfTheHandlerServesOtherSignals(t *testing.T) {
	trap, c := armed(t)
	before, err := getAction(syscall.SIGUSR1)
	require.NoError(t, err)
	hangup, err := getAction(syscall.SIGHUP)
	require.NoError(t, err)
	require.Equal(t, trapHandlerPC(), hangup.handler)
	_, err = setAction(syscall.SIGUSR1, hangup)
	require.NoError(t, err)
	defer func() { _, _ = setAction(syscall.SIGUSR1, before) }()

	raise(t, syscall.SIGUSR1)
	require.Equal(t, syscall.SIGUSR1, testwait.Receive(t, c, "SIGUSR1"))
	require.Zero(t, theTrap.fired.Load(), "another signal closes no window")
	raise(t, syscall.SIGHUP)
	require.Equal(t, syscall.SIGHUP, testwait.Receive(t, c, "SIGHUP"))
	require.Equal(t, syscall.SIGHUP, trap.Fired())
}

// TestAHandlerThatIsNotTheRuntimesStays requires that the trap leaves such a handler, and
// says so. The handler here has no code. The signal does not come while it is there.
func TestAHandlerThatIsNotTheRuntimesStays(t *testing.T) {
	hangup := []syscall.Signal{syscall.SIGHUP}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP) // under nohup, the signal is ignored, and the handler is not the runtime's
	defer signal.Stop(c)
	for _, handler := range []uintptr{0, sigIgnore, trapHandlerPC() + 1} {
		before, err := getAction(syscall.SIGHUP)
		require.NoError(t, err)
		require.True(t, isRuntimes(before.handler))
		theirs := before
		theirs.handler = handler
		_, err = setAction(syscall.SIGHUP, theirs)
		require.NoError(t, err)
		trap := New(hangup)
		require.NotNil(t, trap)
		require.Equal(t, hangup, trap.Set(hangup))
		require.Equal(t, handler == sigIgnore, Ignored(syscall.SIGHUP))
		require.Equal(t, handler, handlerOf(t, syscall.SIGHUP))

		_, err = setAction(syscall.SIGHUP, before) // its owner goes
		require.NoError(t, err)
		require.Empty(t, trap.Set(hangup))
		require.Equal(t, trapHandlerPC(), handlerOf(t, syscall.SIGHUP))
		_, err = setAction(syscall.SIGHUP, theirs) // and comes again, with our handler as its previous one
		require.NoError(t, err)
		trap.Release()
		require.Equal(t, handler, handlerOf(t, syscall.SIGHUP))
		_, err = setAction(syscall.SIGHUP, before)
		require.NoError(t, err)
	}
}

// TestTheRuntimesHandlerComesBack requires it in any order of Install, Uninstall and of a
// system(3) that puts back what it has found.
func TestTheRuntimesHandlerComesBack(t *testing.T) {
	runtimes := handlerOf(t, syscall.SIGHUP)
	first := New([]syscall.Signal{syscall.SIGHUP})
	require.NotNil(t, first)
	found, err := getAction(syscall.SIGHUP)
	require.NoError(t, err)
	ignoring := found
	ignoring.handler = sigIgnore
	_, err = setAction(syscall.SIGHUP, ignoring)
	require.NoError(t, err)
	first.Release()
	second := New([]syscall.Signal{syscall.SIGHUP})
	require.NotNil(t, second)
	_, err = setAction(syscall.SIGHUP, found)
	require.NoError(t, err)
	second.Release()
	require.Equal(t, runtimes, handlerOf(t, syscall.SIGHUP))
}

// TestIgnoreIsNotUndone has a program that ignores a signal at any moment of Set and
// Release.
func TestIgnoreIsNotUndone(t *testing.T) {
	c := make(chan os.Signal, 1)
	defer signal.Stop(c)
	defer signal.Notify(c, syscall.SIGTERM) // sets the runtime's handler again; after Stop, SIGHUP and SIGINT would be ignored
	var over atomic.Bool
	var manhole sync.WaitGroup
	defer manhole.Wait()
	defer over.Store(true)
	sigs := []syscall.Signal{syscall.SIGTERM}
	manhole.Go(func() {
		for !over.Load() {
			trap := New(sigs)
			trap.Set(sigs)
			trap.Release()
		}
	})
	const rounds = 20_000
	for round := range rounds {
		signal.Notify(c, syscall.SIGTERM)
		signal.Ignore(syscall.SIGTERM)
		runtime.Gosched()
		testwait.Eventually(t, func() bool { return Ignored(syscall.SIGTERM) }, "SIGTERM to be ignored, round %d", round) // Set may be about to put it back
	}
}

// TestHandlersWaitByTheClock has a thread that takes long to make a socket. The handlers
// wait for it once, for a bounded time, and use no CPU meanwhile.
func TestHandlersWaitByTheClock(t *testing.T) {
	trap, c := armed(t)
	require.True(t, trap.Hold())
	defer trap.Unhold()
	began := time.Now()
	raise(t, syscall.SIGHUP)
	require.Equal(t, syscall.SIGHUP, testwait.Receive(t, c, "SIGHUP"))
	require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
	require.Less(t, time.Since(began), testwait.Patience/10)
	require.Zero(t, theTrap.held.Load(), "the next handler does not wait")
}

// TestHandlersWaitForTheSocket requires that a handler goes on as soon as the socket is
// there, and that a signal is not lost if many come while sockets are made.
func TestHandlersWaitForTheSocket(t *testing.T) {
	trap, c := armed(t)
	for range 200 {
		theTrap.fired.Store(0)
		require.True(t, trap.Hold())
		raise(t, syscall.SIGHUP)
		runtime.Gosched()
		trap.Unhold()
		require.Equal(t, syscall.SIGHUP, testwait.Receive(t, c, "SIGHUP"))
		trap.seen = theTrap.seen.Load() // or Hold waits for the end of the process
	}
}

// TestOnlyTheOwnSocketIsRemoved has a handler look at names at which there are files of
// others. /proc/net/unix shows the temporary name.
func TestOnlyTheOwnSocketIsRemoved(t *testing.T) {
	trap, c := armed(t)
	dir := testwait.TempDir(t)
	path, tmp := dir+"/s", dir+"/s.tmp"
	for _, test := range []struct {
		name  string
		ours  string // the name of our file; empty: none
		owned bool   // Own has been called
		left  []string
	}{
		{"it has just been made", tmp, false, []string{path}},
		{"it is at its temporary name", tmp, true, []string{path}},
		{"it is at its path", path, true, []string{tmp}},
		{"it is gone", "", true, []string{path, tmp}},
	} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.WriteFile(tmp, nil, 0o600))
		var id unixsock.ID
		if test.ours != "" {
			var err error
			id, _, err = unixsock.IDAt(test.ours)
			require.NoError(t, err)
		} else {
			id = unixsock.ID{Dev: 1, Ino: 1}
		}
		require.True(t, trap.Arm(os.Getpid(), path, tmp))
		if test.owned {
			trap.Own(id, -1)
		}
		raise(t, syscall.SIGHUP)
		testwait.Receive(t, c, "SIGHUP")
		require.True(t, trap.Disarm())
		left, err := filepath.Glob(dir + "/*")
		require.NoError(t, err)
		require.Equal(t, test.left, left, test.name)
	}
}
