package command

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/pattern"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// rowOf returns the row of one descriptor, without leading spaces. Two spaces follow
// the number in a row. In the first line, "9 of 1024: ...", one space follows it.
func rowOf(t *testing.T, c client, fd int) string {
	t.Helper()
	for line := range strings.Lines(c.do("fds -n 0")) {
		if line := strings.TrimSpace(line); strings.HasPrefix(line, fmt.Sprint(fd, "  ")) {
			return line
		}
	}
	return ""
}

// fdOf returns the descriptor number of a connection or file.
func fdOf(t *testing.T, conn syscall.Conn) (fd int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(n uintptr) { fd = int(n) }))
	return fd
}

func TestFDsOfTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer near.Close()
	far, err := l.Accept()
	require.NoError(t, err)
	defer far.Close()

	c := newClient(t)
	require.Regexp(t, `^\d+ +tcp +rw +LISTEN `+l.Addr().String()+`,( multipath,)? nonblock$`, rowOf(t, c, fdOf(t, l.(*net.TCPListener))))
	nearFD, farFD := fdOf(t, near.(*net.TCPConn)), fdOf(t, far.(*net.TCPConn))
	require.Regexp(t, `tcp +rw +ESTAB `+near.LocalAddr().String()+` -> `+l.Addr().String()+`,`, rowOf(t, c, nearFD))
	require.Regexp(t, `tcp +rw +ESTAB `+l.Addr().String()+` -> `+near.LocalAddr().String()+`,`, rowOf(t, c, farFD))
	near.Close()
	testwait.Eventually(t, func() bool { return strings.Contains(rowOf(t, c, farFD), " CLOSE-WAIT ") }, "the state is not that of now")
	require.Empty(t, rowOf(t, c, nearFD), "it is closed")
}

func TestFDsOfUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer conn.Close()
	c := newClient(t)
	require.Regexp(t, `udp +rw +UNCONN `+conn.LocalAddr().String()+`,`, rowOf(t, c, fdOf(t, conn.(*net.UDPConn))))
}

func TestFDsOfUnixSockets(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{filepath.Join(testwait.TempDir(t), "s"), fmt.Sprintf("@oneshot-fds-%d", os.Getpid())} {
		l, err := net.Listen("unix", path)
		require.NoError(t, err)
		defer l.Close()
		near, err := net.Dial("unix", path)
		require.NoError(t, err)
		defer near.Close()
		far, err := l.Accept()
		require.NoError(t, err)
		defer far.Close()

		require.Regexp(t, `unix +rw +LISTEN `+path+`, nonblock$`, rowOf(t, c, fdOf(t, l.(*net.UnixListener))))
		require.Regexp(t, `unix +rw +ESTAB unnamed -> `+path+` \(this process\), nonblock$`, rowOf(t, c, fdOf(t, near.(*net.UnixConn))))
		require.Regexp(t, `unix +rw +ESTAB `+path+` -> unnamed \(this process\), nonblock$`, rowOf(t, c, fdOf(t, far.(*net.UnixConn))))
	}
}

// opener returns a function that takes the result of a system call that makes a
// descriptor. The descriptor is closed at the end of the test.
func opener(t *testing.T) func(fd int, err error) int {
	return func(fd int, err error) int {
		t.Helper()
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
}

func TestFDsOfFiles(t *testing.T) {
	made := opener(t)
	c := newClient(t)
	dir := testwait.TempDir(t)
	path := filepath.Join(dir, "a b")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString("seven b")
	require.NoError(t, err)
	fd := fdOf(t, f)
	require.Regexp(t, `^\d+ +file +wo +`+path+`, append, at 7 of 7 bytes$`, rowOf(t, c, fd))
	require.NoError(t, os.Remove(path))
	require.Regexp(t, `wo +`+path+`, append, at 7 of 7 bytes, deleted$`, rowOf(t, c, fd))

	honest := filepath.Join(dir, "x\x1b (deleted)")
	require.NoError(t, os.WriteFile(honest, nil, 0o600))
	f, err = os.Open(honest)
	require.NoError(t, err)
	defer f.Close()
	require.Regexp(t, `ro +".*/x\\x1b \(deleted\)", at 0 of 0 bytes$`, rowOf(t, c, fdOf(t, f)), "that is its name")

	inherited := made(unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0))
	require.Regexp(t, `dir +ro +`+dir+`, inherited by children$`, rowOf(t, c, inherited))
	require.Regexp(t, `dir +path +`+dir+`$`, rowOf(t, c, made(unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0))))
	require.Regexp(t, `char +rw +/dev/null$`, rowOf(t, c, made(unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0))))
}

func TestFDsOfOtherKinds(t *testing.T) {
	made := opener(t)
	c := newClient(t)
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	require.Regexp(t, `pipe +ro +pipe:\[\d+\]$`, rowOf(t, c, pipe[0]))
	require.Regexp(t, `pipe +wo +pipe:\[\d+\]$`, rowOf(t, c, pipe[1]))

	event := made(unix.Eventfd(18, unix.EFD_CLOEXEC))
	require.Regexp(t, `eventfd +rw +count 18$`, rowOf(t, c, event))
	require.Regexp(t, `inotify +ro$`, rowOf(t, c, made(unix.InotifyInit1(unix.IN_CLOEXEC))))
	require.Regexp(t, `eventpoll +rw$`, rowOf(t, c, made(unix.EpollCreate1(unix.EPOLL_CLOEXEC))))
	require.Regexp(t, `pidfd +rw +of pid 1\b`, rowOf(t, c, made(unix.PidfdOpen(1, 0))))
	require.Regexp(t, `memfd +rw +a name, at 0 of 0 bytes$`, rowOf(t, c, made(unix.MemfdCreate("a name", unix.MFD_CLOEXEC))))

	timer := made(unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC))
	require.Regexp(t, `timerfd +rw +not set$`, rowOf(t, c, timer))
	require.NoError(t, unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Value: unix.Timespec{Sec: 3600}, Interval: unix.Timespec{Sec: 60}}, nil))
	require.Regexp(t, `timerfd +rw +ends in (59m59\.\d+|1h0m0)s, then every 1m0s$`, rowOf(t, c, timer))

	var set unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGUSR2 - 1)
	require.Regexp(t, `signalfd +rw +SIGUSR2$`, rowOf(t, c, made(unix.Signalfd(-1, &set, unix.SFD_CLOEXEC))))

	var count [8]byte
	_, err := unix.Read(event, count[:])
	require.NoError(t, err)
	require.EqualValues(t, 18, count[0], "nothing is read from a descriptor")
}

func TestFDsCountsAndSelects(t *testing.T) {
	made := opener(t)
	for range 5 {
		made(unix.Eventfd(0, unix.EFD_CLOEXEC))
	}
	c := newClient(t)
	out := c.do("fds -n 2 eventfd")
	require.Regexp(t, `^\d+ of \d+: (\d+ \w+, )*[5-9] eventfd\b.*\n +\d+ +eventfd .*\n +\d+ +eventfd .*\n\d more: fds -n 0\n$`, out)
	require.Regexp(t, `(?m)^ *0 `, c.do("fds ^0"))
	require.True(t, strings.HasSuffix(c.do("fds ^nothing$"), "\nno row matches ^nothing$\n"))

	var numbers []int
	for line := range strings.Lines(c.do("fds -n 0")) {
		var n int
		if _, err := fmt.Sscanf(line, "%5d  ", &n); err == nil && strings.HasPrefix(line, " ") {
			numbers = append(numbers, n)
		}
	}
	require.Greater(t, len(numbers), 5)
	require.True(t, slices.IsSorted(numbers), numbers)
}

func TestFDsRefuseWrongArguments(t *testing.T) {
	c := newClient(t)
	for line, says := range map[string]string{
		"fds -n -1": "fds: -n -1: give the number of rows, 0 for all\n",
		"fds a b":   "fds: one regular expression at a time, not [\"a\" \"b\"]; use a|b for several\n",
		"fds '('":   "fds: error parsing regexp: missing closing ): `(`\n",
		"fds -x":    "fds: flag provided but not defined: -x; help fds says more\n",
	} {
		require.Equal(t, says, c.do(line))
	}
}

func TestFDsThatAreClosedMeanwhile(t *testing.T) {
	c := newClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				f, err := os.Open("/dev/null")
				if err == nil {
					f.Close()
				}
				fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err == nil {
					unix.Close(fds[0])
					unix.Close(fds[1])
				}
			}
		})
	}
	for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); {
		require.Regexp(t, `^\d+ of \d+: `, c.do("fds -n 0"))
	}
}

func TestFDsWhereNoneCanBeOpened(t *testing.T) {
	c := newClient(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = 3
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	restore := func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }
	defer restore()
	out := c.do("fds -n 0")
	restore()
	require.Regexp(t, `^\d+ of 3: `, out)
	require.Regexp(t, `(?m)^ +\d+ +unix +rw +ESTAB `, out)
}

func TestFDsStopsWithItsContext(t *testing.T) {
	c := newClient(t)
	s := c.s
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := listFDs(ctx, s, []int{0, 1}, 1024, new(pattern.Pattern), 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, answers(findFDs)(ctx, s, nil), context.Canceled)
}
