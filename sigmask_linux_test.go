package oneshot

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// blockedOnThreads is the SigBlk of every thread.
func blockedOnThreads(t *testing.T) (masks []sigset.Set) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/self/task/*")
	require.NoError(t, err)
	for _, dir := range dirs {
		if status, err := procfs.ReadStatus(dir); err == nil { // it may have ended
			mask, err := status.Mask("SigBlk")
			require.NoError(t, err)
			masks = append(masks, sigset.Set(mask))
		}
	}
	return masks
}

// threadsWith counts the threads with that mask.
func threadsWith(t *testing.T, mask sigset.Set) (n int) {
	t.Helper()
	for _, m := range blockedOnThreads(t) {
		if m == mask {
			n++
		}
	}
	return n
}

func TestASessionsThreadBlocksTheSigmask(t *testing.T) {
	asked := sigset.Of(syscall.SIGUSR1, syscall.SIGWINCH, syscall.SIGTERM, syscall.SIGPROF)
	got := sigset.Of(syscall.SIGUSR1, syscall.SIGWINCH)
	h := hostFor(t, Options{Sigmask: (*SignalSet)(&asked)})
	require.NotContains(t, blockedOnThreads(t), got)
	c := h.enter(t)
	require.Contains(t, blockedOnThreads(t), got)
	c.send("exit\n")
	require.Empty(t, c.rest())
	h.ended(t)
	eventually(t, func() bool { return threadsWith(t, got) == 0 }, "the thread keeps its mask")
}

func TestAllThatMayBeBlockedIsBlockedUnlessTold(t *testing.T) {
	h := hostFor(t, Options{})
	before := threadsWith(t, ^sigset.NeverBlocked) // the runtime's signal thread, if nothing is notified
	h.enter(t)
	require.Equal(t, before+1, threadsWith(t, ^sigset.NeverBlocked))
}

// writeChildsMask starts a child that looks at its own SigBlk.
func writeChildsMask(ctx context.Context, w io.Writer) error {
	out, err := outputOf(ctx, "grep", "SigBlk", "/proc/self/status")
	if err == nil {
		_, err = w.Write(out)
	}
	return err
}

// TestChildrenDoNotInheritTheMask: a child that a command starts is like the
// program's own.
func TestChildrenDoNotInheritTheMask(t *testing.T) {
	_, c := startSession(t, &Command{Name: "child", Run: func(ctx context.Context, s *Session, _ []string) error {
		return writeChildsMask(ctx, s.out)
	}})
	c.expect(protocol.Prompt)
	var mask bytes.Buffer
	require.NoError(t, writeChildsMask(t.Context(), &mask))
	own := mask.String()
	require.Regexp(t, `SigBlk:\s+0{16}\n`, own)
	for range 20 {
		require.Equal(t, own, c.do("child"))
	}
}

// TestThreadsDoNotInheritTheMask: those that the runtime starts meanwhile.
func TestThreadsDoNotInheritTheMask(t *testing.T) {
	h := hostFor(t, Options{})
	before := threadsWith(t, ^sigset.NeverBlocked)
	h.enter(t)
	stop, end := testwait.Gate(t)
	blocked := make(chan struct{}, 20)
	for range 20 { // each keeps a thread for itself
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			blocked <- struct{}{}
			<-stop
		}()
	}
	for range 20 {
		testwait.Receive(t, blocked, "a goroutine to begin")
	}
	masked := threadsWith(t, ^sigset.NeverBlocked)
	end()
	require.Equal(t, before+1, masked)
}

// spin burns CPU without a function call (Load is an instruction) until it is told to stop, where only
// the runtime's signals can interrupt it.
//
//go:noinline
func spin(stop *uint32) (n int) {
	for atomic.LoadUint32(stop) == 0 {
		n++
	}
	return n
}

// TestProfilesAndPreemptionInSessions: with one CPU for Go code, a command that
// spins lets others run, and is in the CPU profile.
func TestProfilesAndPreemptionInSessions(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	begun, stop := make(chan struct{}), new(uint32)
	defer atomic.StoreUint32(stop, 1)
	_, c := startSession(t, &Command{Name: "spin", Run: func(context.Context, *Session, []string) error {
		close(begun)
		spin(stop)
		return nil
	}})
	c.expect(protocol.Prompt)
	var profile bytes.Buffer
	require.NoError(t, pprof.StartCPUProfile(&profile))
	defer pprof.StopCPUProfile()
	c.send("spin\n")
	testwait.Receive(t, begun, "the command to begin")
	time.Sleep(200 * time.Millisecond) // the time is the subject: it ends, since the command is preempted
	atomic.StoreUint32(stop, 1)
	c.expect(protocol.Prompt)
	pprof.StopCPUProfile()
	unzipped, err := gzip.NewReader(&profile)
	require.NoError(t, err)
	text, err := io.ReadAll(unzipped)
	require.NoError(t, err)
	require.Contains(t, string(text), "oneshot.spin")
}

// starts is a program's handler that starts a child.
type starts struct{}

func (starts) Serve(ctx context.Context, s *Session) error { return writeChildsMask(ctx, s) }

func TestChildrenOfAHandlerDoNotInheritTheMask(t *testing.T) {
	h := hostFor(t, Options{Handler: starts{}})
	s, c := h.start(t)
	require.Regexp(t, `^SigBlk:\s+0{16}\n$`, c.rest())
	testwait.Receive(t, s.done, "the session to end")
}
