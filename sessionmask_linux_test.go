package oneshot

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/procfs"
)

// blockedOnThreads is the SigBlk of every thread.
func blockedOnThreads(t *testing.T) (masks []SignalSet) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/self/task/*")
	require.NoError(t, err)
	for _, dir := range dirs {
		if status, err := procfs.ReadStatus(dir); err == nil { // it may have ended
			mask, err := status.Mask("SigBlk")
			require.NoError(t, err)
			masks = append(masks, SignalSet(mask))
		}
	}
	return masks
}

// threadsWith counts the threads with that mask.
func threadsWith(t *testing.T, mask SignalSet) (n int) {
	t.Helper()
	for _, m := range blockedOnThreads(t) {
		if m == mask {
			n++
		}
	}
	return n
}

func TestASessionsThreadBlocksTheSigmask(t *testing.T) {
	asked := signalSet(syscall.SIGUSR1, syscall.SIGWINCH, syscall.SIGTERM, syscall.SIGPROF)
	got := signalSet(syscall.SIGUSR1, syscall.SIGWINCH)
	m := install(t, Options{Sigmask: &asked})
	require.NotContains(t, blockedOnThreads(t), got)
	c := m.enter(t)
	require.Contains(t, blockedOnThreads(t), got)
	c.send("exit\n")
	require.Empty(t, c.rest())
	eventually(t, func() bool { return m.sessions() == 0 }, "the session does not end")
	eventually(t, func() bool { return threadsWith(t, got) == 0 }, "the thread keeps its mask")
}

func TestAllThatMayBeBlockedIsBlockedUnlessTold(t *testing.T) {
	m := install(t, Options{})
	before := threadsWith(t, ^neverBlocked) // the runtime's signal thread, if nothing is notified
	m.enter(t)
	require.Equal(t, before+1, threadsWith(t, ^neverBlocked))
}

// TestChildrenDoNotInheritTheMask: a child that a command starts is like the
// program's own.
func TestChildrenDoNotInheritTheMask(t *testing.T) {
	child := func() string {
		out, err := exec.Command("grep", "SigBlk", "/proc/self/status").Output()
		require.NoError(t, err)
		return string(out)
	}
	_, c := startSession(t, &Command{Name: "child", Run: func(_ context.Context, s *Session, _ []string) error {
		_, err := s.out.WriteString(child())
		return err
	}})
	c.expect(prompt)
	own := child()
	require.Regexp(t, `SigBlk:\s+0{16}\n`, own)
	for range 20 {
		require.Equal(t, own, c.do("child"))
	}
}

// TestThreadsDoNotInheritTheMask: those that the runtime starts meanwhile.
func TestThreadsDoNotInheritTheMask(t *testing.T) {
	m := install(t, Options{})
	before := threadsWith(t, ^neverBlocked)
	m.enter(t)
	stop, blocked := make(chan struct{}), make(chan struct{})
	for range 20 { // each keeps a thread for itself
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			blocked <- struct{}{}
			<-stop
		}()
	}
	for range 20 {
		<-blocked
	}
	masked := threadsWith(t, ^neverBlocked)
	close(stop)
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
	begun := make(chan *uint32, 1)
	_, c := startSession(t, &Command{Name: "spin", Run: func(context.Context, *Session, []string) error {
		var stop uint32
		begun <- &stop
		spin(&stop)
		return nil
	}})
	c.expect(prompt)
	var profile bytes.Buffer
	require.NoError(t, pprof.StartCPUProfile(&profile))
	c.send("spin\n")
	stop := <-begun
	time.Sleep(200 * time.Millisecond) // comes back, since the command is preempted
	atomic.StoreUint32(stop, 1)
	c.expect(prompt)
	pprof.StopCPUProfile()
	unzipped, err := gzip.NewReader(&profile)
	require.NoError(t, err)
	text, err := io.ReadAll(unzipped)
	require.NoError(t, err)
	require.Contains(t, string(text), "oneshot.spin")
}

// starts is a program's handler that starts a child.
type starts struct{}

func (starts) Serve(_ context.Context, s *Session) error {
	out, err := exec.Command("grep", "SigBlk", "/proc/self/status").Output()
	if err == nil {
		_, err = s.Write(out)
	}
	return err
}

func TestChildrenOfAHandlerDoNotInheritTheMask(t *testing.T) {
	m := install(t, Options{Handler: starts{}})
	done := make(chan error, 1)
	go func() { done <- m.Oneshot(context.Background()) }()
	require.Regexp(t, `^SigBlk:\s+0{16}\n$`, connect(t, m.Path()).rest())
	require.NoError(t, <-done)
}
