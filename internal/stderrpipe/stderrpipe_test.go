//go:build linux || darwin || freebsd

package stderrpipe

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put replaces descriptor 2 of this process until the test ends.
func put(t *testing.T, fd int) {
	t.Helper()
	saved, err := syscall.Dup(2)
	require.NoError(t, err)
	syscall.CloseOnExec(saved)
	t.Cleanup(func() {
		require.NoError(t, unixsock.Dup2(saved, 2))
		require.NoError(t, syscall.Close(saved))
	})
	if fd < 0 {
		require.NoError(t, syscall.Close(2))
		return
	}
	require.NoError(t, unixsock.Dup2(fd, 2))
}

// putLog makes descriptor 2 a pipe, as in a program that logs, and returns the other end.
func putLog(t *testing.T) *os.File {
	t.Helper()
	var pipe [2]int
	require.NoError(t, syscall.Pipe(pipe[:])) // in blocking mode, like the pipes of a shell
	syscall.CloseOnExec(pipe[0])
	put(t, pipe[1])
	require.NoError(t, syscall.Close(pipe[1]))
	require.NoError(t, syscall.SetNonblock(pipe[0], true)) // only this end
	log := os.NewFile(uintptr(pipe[0]), "log")
	t.Cleanup(func() { log.Close() })
	testwait.Deadline(t, log)
	return log
}

// session returns a session that can take descriptor 2, and the output that its client reads.
func session(t *testing.T, pid int) (*Holder, *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	files := make([]*os.File, 2)
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		require.NoError(t, syscall.SetNonblock(fd, true))
		files[i] = os.NewFile(uintptr(fd), "socket")
		t.Cleanup(func() { files[i].Close() })
	}
	testwait.Deadline(t, files[1])
	h := &Holder{PID: pid, Out: clientio.NewOutput(testwait.Patience, func(error) {})}
	h.Out.Connect(files[0], false)
	t.Cleanup(func() { End(h) }) // before the files are closed
	return h, files[1]
}

// say writes a line to descriptor 2. With go test -json, os.Stderr is another one.
func say(t *testing.T, text string) {
	t.Helper()
	for rest := []byte(text + "\n"); len(rest) > 0; {
		n, err := syscall.Write(2, rest)
		require.NoError(t, err)
		rest = rest[n:]
	}
}

// reads requires that the line arrives next.
func reads(t *testing.T, from io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text)+1)
	_, err := io.ReadFull(from, got)
	require.NoError(t, err)
	require.Equal(t, text+"\n", string(got))
}

func descriptor2(t *testing.T) unixsock.ID {
	t.Helper()
	id, err := unixsock.IDOf(2)
	require.NoError(t, err)
	return id
}

// Give and End both give it back.
func TestTheDescriptorIsGivenBack(t *testing.T) {
	log := putLog(t)
	before := descriptor2(t)
	h, client := session(t, 1)
	for _, give := range []func(){func() { require.True(t, Give(h)) }, func() { End(h) }} {
		require.Nil(t, Current())
		require.NoError(t, Take(h))
		require.Same(t, h, Current())
		require.NotEqual(t, before, descriptor2(t))
		require.NoError(t, Take(h), "it has it already")
		say(t, "both have this")
		reads(t, log, "both have this")
		reads(t, client, "both have this")
		give()
		require.Equal(t, before, descriptor2(t))
		say(t, "the log alone has this")
		reads(t, log, "the log alone has this")
	}
	require.False(t, Give(h), "it does not have it")
	require.Error(t, Take(h), "its session has ended")
	require.Nil(t, Current())
	require.NoError(t, client.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	n, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, n, "it has what was for the log alone")
}

func TestOneSessionAtATimeHasTheDescriptor(t *testing.T) {
	putLog(t)
	first, _ := session(t, 41)
	second, _ := session(t, 42)
	require.NoError(t, Take(first))
	require.ErrorContains(t, Take(second), "pid 41")
	require.False(t, Give(second))
	End(second)
	require.Same(t, first, Current())
	require.True(t, Give(first))
}

func TestADescriptorThatTheProgramReplacesIsKept(t *testing.T) {
	putLog(t)
	h, _ := session(t, 1)
	require.NoError(t, Take(h))
	f, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unixsock.Dup2(int(f.Fd()), 2))
	require.True(t, Give(h))
	say(t, "in the new log")
	text, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	require.Equal(t, "in the new log\n", string(text))
}

// After the session has given the descriptor back, the child still writes to the pipe. Its
// output must go to the log only.
func TestAChildThatKeepsThePipe(t *testing.T) {
	log := putLog(t)
	h, client := session(t, 1)
	require.NoError(t, Take(h))
	child, err := syscall.Dup(2)
	require.NoError(t, err)
	syscall.CloseOnExec(child)
	inherited := os.NewFile(uintptr(child), "as a child has it")
	defer inherited.Close()
	require.True(t, Give(h))
	_, err = fmt.Fprintln(inherited, "from the child")
	require.NoError(t, err)
	reads(t, log, "from the child")
	require.NoError(t, client.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// The log still gets all lines when a client has disconnected.
func TestAClientThatDisconnects(t *testing.T) {
	log := putLog(t)
	h, client := session(t, 1)
	require.NoError(t, Take(h))
	require.NoError(t, client.Close())
	for range 3 {
		say(t, "to the log")
		reads(t, log, "to the log")
	}
	require.Same(t, h, Current(), "only its session gives it back")
	require.True(t, Give(h))
}

// When the log is full, the client still gets all lines, and the program does not wait.
func TestALogThatIsFull(t *testing.T) {
	log := putLog(t)
	require.NoError(t, syscall.SetNonblock(2, true))
	var err error
	for err == nil {
		_, err = syscall.Write(2, make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.EAGAIN)
	require.NoError(t, syscall.SetNonblock(2, false))
	h, client := session(t, 1)
	require.NoError(t, Take(h))
	line := strings.Repeat("x", 32<<10)
	for range 2 * maxLogged / len(line) {
		say(t, line)
		reads(t, client, line)
	}
	require.True(t, Give(h))
	ended := make(chan error, 1)
	go func() { // otherwise the goroutine that writes to the log would not end
		_, err := io.Copy(io.Discard, log)
		ended <- err
	}()
	require.NoError(t, log.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, testwait.Receive(t, ended, "the log to be read"), os.ErrDeadlineExceeded)
}

// TestAClientThatDoesNotRead does not cost the program its own log. When it reads again,
// it learns what it has missed.
func TestAClientThatDoesNotRead(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer file.Close()
	put(t, int(file.Fd()))
	h, client := session(t, 1)
	require.NoError(t, Take(h))
	const lines = 20_000
	line := strings.Repeat("x", 99)
	for n := range lines {
		say(t, line)
		if n%500 == 0 {
			time.Sleep(time.Millisecond) // a program that never waits fills the pipe, where it has one CPU
		}
	}
	// The first lines are in the client's socket, and the next ones in the queue.
	text := make([]byte, 64<<10)
	var got strings.Builder
	for !strings.Contains(got.String(), "bytes of standard error were not shown here") {
		n, err := client.Read(text)
		require.NoError(t, err)
		got.Write(text[:n])
	}
	require.True(t, Give(h))
	testwait.Eventually(t, func() bool {
		info, err := file.Stat()
		require.NoError(t, err)
		return info.Size() == lines*int64(len(line)+1)
	}, "the log lacks lines")
}

func TestAQueueIsBounded(t *testing.T) {
	q := newQueue(10)
	q.add([]byte("12345678"))
	q.add([]byte("90ab"))
	q.add([]byte("c"))
	p, lost, ok := q.take()
	require.Equal(t, "1234567890", string(p))
	require.Equal(t, 3, lost)
	require.True(t, ok)
	q.add([]byte("d"))
	q.end()
	q.add([]byte("e"))
	p, lost, ok = q.take()
	require.Equal(t, "d", string(p))
	require.Zero(t, lost)
	require.True(t, ok)
	_, _, ok = q.take()
	require.False(t, ok)
	q = newQueue(10)
	q.add([]byte("1"))
	q.drop()
	_, _, ok = q.take()
	require.False(t, ok)
}

func TestTakeFails(t *testing.T) {
	h, _ := session(t, 1)
	t.Run("it does not block", func(t *testing.T) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer r.Close()
		defer w.Close()
		_ = w.SetWriteDeadline(time.Time{}) // it is in the poller
		raw, err := w.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) { put(t, int(fd)) }))
		require.ErrorContains(t, Take(h), "non-blocking")
	})
	t.Run("it is not open", func(t *testing.T) {
		put(t, -1)
		require.ErrorIs(t, Take(h), syscall.EBADF)
	})
	t.Run("there are no descriptors left", func(t *testing.T) {
		putLog(t)
		before := descriptor2(t)
		var limit syscall.Rlimit
		require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
		free, err := syscall.Dup(2) // the lowest free descriptor
		require.NoError(t, err)
		require.NoError(t, syscall.Close(free))
		for extra := range 3 { // for the saved descriptor, and for the two ends of the pipe
			low := limit
			set(&low.Cur, free+extra)
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
			err = Take(h)
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
			require.ErrorIs(t, err, syscall.EMFILE, "%d are free", extra)
			require.Equal(t, before, descriptor2(t))
		}
	})
	require.Nil(t, Current())
}

// set sets a number whose type depends on the system.
func set[T int64 | uint64](to *T, n int) { *to = T(n) }
