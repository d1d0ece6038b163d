// What the kernel shows of a process with a manhole: the masks of its threads, and the
// notice in its maps.

package oneshot

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/notice"
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

func TestTheDefaultSigmaskBlocksAllThatMayBeBlocked(t *testing.T) {
	h := hostFor(t, Options{})
	before := threadsWith(t, ^sigset.NeverBlocked) // the runtime's signal thread, if there is no subscriber
	h.enter(t)
	require.Equal(t, before+1, threadsWith(t, ^sigset.NeverBlocked))
}

// writeChildsMask starts a child that prints its own SigBlk.
func writeChildsMask(ctx context.Context, w io.Writer) error {
	out, err := outputOf(ctx, "grep", "SigBlk", "/proc/self/status")
	if err == nil {
		_, err = w.Write(out)
	}
	return err
}

// A child that a command starts must have the same mask as other children of the program.
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

// The runtime starts these threads while commands run.
func TestThreadsDoNotInheritTheMask(t *testing.T) {
	h := hostFor(t, Options{})
	before := threadsWith(t, ^sigset.NeverBlocked)
	h.enter(t)
	stop, end := testwait.Gate(t)
	blocked := make(chan struct{}, 20)
	for range 20 { // each keeps a thread busy
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

// spin burns CPU without a function call (Load is an instruction), until stop is set. Only
// the runtime's signals can interrupt it.
//
//go:noinline
func spin(stop *uint32) (n int) {
	for atomic.LoadUint32(stop) == 0 {
		n++
	}
	return n
}

// With one CPU for Go code, a command that spins must let others run, and must be in the
// CPU profile.
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

func notices(t *testing.T) (found []string) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	for line := range strings.Lines(string(maps)) {
		if _, text, ok := strings.Cut(line, "/memfd:oneshot:v1 "); ok {
			found = append(found, strings.TrimSuffix(text, " (deleted)\n"))
		}
	}
	return found
}

// The client reads the notice there. Uninstall removes it.
func TestTheNoticeIsInProcMaps(t *testing.T) {
	require.Empty(t, notices(t))
	fds := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	before := fds()
	dir := testwait.TempDir(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: dir + "/%p"})
	require.Equal(t, []string{"signal=SIGUSR2 path=" + dir + "/%p"}, notices(t))
	require.Equal(t, before, fds())
	require.Less(t, len(fmt.Sprintf("%+v", m.Manhole)), 4096, "a manhole that is printed does no harm")

	second, err := Install(Options{ActivateOn: syscall.SIGUSR1, OneshotOn: syscall.SIGUSR2, SocketPath: "@%p", Reinstall: true})
	require.NoError(t, err)
	require.Equal(t, []string{"signal=SIGUSR2 activate=SIGUSR1 path=@%p"}, notices(t))
	third, err := Install(Options{TriggerFile: dir + "/a b", NoReceiver: true, SocketPath: dir + "/" + strings.Repeat("x", 60), Reinstall: true})
	require.NoError(t, err)
	require.Equal(t, []string{"trigger=" + dir + "/a%20b receiver=program path=" + third.Path()}, notices(t))
	require.ErrorIs(t, second.Uninstall(), ErrNotInstalled)
	require.NoError(t, third.Uninstall())
	require.ErrorIs(t, m.Uninstall(), ErrNotInstalled)
	require.Empty(t, notices(t))
}

// TestTheLongestNoticeIsPosted: the kernel takes a name of 249 bytes for a memfd.
func TestTheLongestNoticeIsPosted(t *testing.T) {
	n := notice.Notice{Path: "/tmp/x", Trigger: "/"}
	n.Trigger += strings.Repeat("y", 249-len(n.String()))
	require.Len(t, n.String(), 249)
	page := notice.Post(n)
	defer page.Remove()
	require.Equal(t, []string{strings.TrimPrefix(n.String(), "oneshot:v1 ")}, notices(t))
}

// TestAProgramThatDoesNotReceiveLogsIt: without Wait or Handle, a signal opens nothing,
// and nobody but Install can say so.
func TestAProgramThatDoesNotReceiveLogsIt(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
	eventually(t, func() bool {
		return strings.Contains(m.log.String(), "the program must call Wait, or Handle with each signal")
	}, "nothing is logged")
	require.Contains(t, m.log.String(), "signals=SIGUSR2")
}

// An abstract socket has no file. Everything else is the same.
func TestAnAbstractSocket(t *testing.T) {
	name := fmt.Sprintf("@oneshot-test-%d", os.Getpid())
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: name})
	for range 3 {
		kill(t, syscall.SIGUSR2)
		connectAbstract(t, name).leave()
	}
	require.NoError(t, m.Activate())
	eventually(t, func() bool { return strings.Contains(sockets(t), name) }, "it does not listen")
	require.NoError(t, m.Uninstall())
	_, err := net.Dial("unix", name)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	// The connection of a client that has left has the name too, until it is closed.
	eventually(t, func() bool { return !strings.Contains(sockets(t), name) }, "its name stays")
	_, err = os.Lstat(name)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAnAbstractSocketInUse(t *testing.T) {
	name := fmt.Sprintf("@oneshot-test-%d", os.Getpid())
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}))
	m := install(t, Options{SocketPath: name})
	require.ErrorIs(t, m.Oneshot(inTime(t)), ErrPathInUse)
}

func sockets(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/net/unix")
	require.NoError(t, err)
	return string(text)
}
