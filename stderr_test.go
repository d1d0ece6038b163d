//go:build linux || darwin || freebsd

package oneshot

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

func init() {
	// writes to its standard error on SIGUSR1, crashes on SIGHUP, and starts a
	// child with its standard error on SIGALRM.
	morePrograms["stderr"] = func(o Options) {
		c := make(chan os.Signal, 8)
		signal.Notify(c, syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGALRM, syscall.SIGWINCH)
		o.RedirectStderr = os.Getenv("REDIRECT") != ""
		o.Logger = slog.New(slog.DiscardHandler) // or its lines come to the session too
		mustInstall(o)
		fmt.Println("ready")
		for sig := range c {
			switch sig {
			case syscall.SIGUSR1:
				fmt.Fprintln(os.Stderr, "something is wrong")
			case syscall.SIGHUP:
				panic("it crashed")
			case syscall.SIGWINCH: // a log that is rotated
				f, err := os.OpenFile(os.Getenv("NEWLOG"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
				if err == nil {
					err = unixsock.Dup2(int(f.Fd()), 2)
				}
				fmt.Println("rotated", err)
			case syscall.SIGALRM:
				child := exec.Command("sh", "-c", "sleep 0.5; echo from the child >&2")
				child.Stderr = os.Stderr
				err := child.Start()
				fmt.Println("started", err)
				go func() { fmt.Println("ended", child.Wait()) }()
			}
		}
	}
	// floods its standard error, and says how far it is.
	morePrograms["floods"] = func(o Options) {
		mustInstall(o)
		fmt.Println("ready")
		line := strings.Repeat("x", 1000) + "\n"
		for n := 0; ; n++ {
			_, _ = io.WriteString(os.Stderr, line)
			if n%100_000 == 0 {
				fmt.Println("written", n)
			}
		}
	}
}

// startWithStderr starts a program whose standard error is the result.
func startWithStderr(t *testing.T, spec string, env ...string) (*program, *testwait.Buffer) {
	t.Helper()
	stderr := &testwait.Buffer{}
	p := newProgram(t, spec)
	p.Env = append(p.Env, env...)
	p.Stderr = stderr
	p.started(t)
	return p, stderr
}

func TestStandardErrorComesToTheSession(t *testing.T) {
	p, stderr := startWithStderr(t, "stderr")
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	require.Equal(t, "standard error goes where the program sends it; stderr on has it come here\n", c.do("stderr"))
	require.Contains(t, c.do("stderr off"), "this session does not have it")
	require.Contains(t, c.do("stderr on"), "until stderr off")
	require.Contains(t, c.do("stderr on"), "until stderr off")
	require.Equal(t, "standard error comes here\n", c.do("stderr"))
	p.signal(t, syscall.SIGUSR1)
	c.expect("something is wrong\n")
	eventually(t, func() bool { return strings.Count(stderr.String(), "something is wrong") == 1 }, "the log lacks it")

	p.signal(t, syscall.SIGUSR2)
	other := connect(t, p.path)
	other.expect(protocol.Prompt)
	require.Contains(t, other.do("stderr on"), "the session of pid")
	require.Contains(t, other.do("stderr"), "the session of pid")

	c.send("stderr off\n")
	c.expect("goes where it went before\n")
	p.signal(t, syscall.SIGUSR1)
	eventually(t, func() bool { return strings.Count(stderr.String(), "something is wrong") == 2 }, "it is lost")
	require.Contains(t, other.do("stderr on"), "until stderr off")
	p.signal(t, syscall.SIGUSR1)
	other.expect("something is wrong\n")

	// It comes back whatever ends the session.
	other.Close()
	eventually(t, func() bool {
		p.signal(t, syscall.SIGUSR1)
		time.Sleep(10 * time.Millisecond) // between two signals, or they would be one
		return strings.Count(stderr.String(), "something is wrong") > 3
	}, "it does not come back")
}

func TestRedirectStderrDoesSoFromTheStart(t *testing.T) {
	p, _ := startWithStderr(t, "stderr", "REDIRECT=1")
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	p.signal(t, syscall.SIGUSR1)
	c.expect("something is wrong\n")
}

func TestACrashIsPrintedWhereItAlwaysWas(t *testing.T) {
	p, stderr := startWithStderr(t, "stderr", "REDIRECT=1")
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	p.signal(t, syscall.SIGHUP)
	c.rest()
	require.Equal(t, 2, p.wait(t).ExitStatus())
	require.Contains(t, stderr.String(), "panic: it crashed")
	require.Contains(t, stderr.String(), "goroutine 1 [running]")
}

// A child that has inherited the pipe outlives the session, and is not killed by
// SIGPIPE.
func TestAChildKeepsTheStandardErrorItWasGiven(t *testing.T) {
	p, stderr := startWithStderr(t, "stderr", "REDIRECT=1")
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	p.signal(t, syscall.SIGALRM)
	require.Equal(t, "started <nil>\n", p.line(t))
	c.Close()
	require.Equal(t, "ended <nil>\n", p.line(t))
	eventually(t, func() bool { return strings.Contains(stderr.String(), "from the child") }, "it is lost")
}

// TestAFloodOfStandardErrorWaitsForNobody: the client does not read.
func TestAFloodOfStandardErrorWaitsForNobody(t *testing.T) {
	p := newProgram(t, "floods")
	p.started(t) // standard error is /dev/null
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	c.send("stderr on\n")
	c.expect("session\n")
	c.expect(strings.Repeat("x", 1000) + "\n")
	for seen := 0; seen < 10; { // it goes on and on
		if strings.HasPrefix(p.line(t), "written") {
			seen++
		}
	}
	var b bytes.Buffer
	_, _ = io.CopyN(&b, c, 1<<20)
	require.Contains(t, b.String(), "xxx")
}

// What the program puts in place of its standard error meanwhile stays.
func TestARotatedLogStays(t *testing.T) {
	file := testwait.TempDir(t) + "/new"
	p, _ := startWithStderr(t, "stderr", "REDIRECT=1", "NEWLOG="+file)
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	p.signal(t, syscall.SIGWINCH)
	require.Equal(t, "rotated <nil>\n", p.line(t))
	c.send("exit\n")
	c.rest()
	p.signal(t, syscall.SIGUSR1)
	eventually(t, func() bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), "something is wrong")
	}, "it goes elsewhere")
}

// A standard error that nobody reads any more does not keep it from the client.
func TestAStuckLogIsNotWaitedFor(t *testing.T) {
	p := newProgram(t, "stderr")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	require.NoError(t, write.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = io.Copy(write, zeros{})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it is full")
	p.Stderr = write
	p.started(t)
	require.NoError(t, write.Close())
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	c.send("stderr on\n")
	c.expect(protocol.Prompt)
	for range 100 {
		p.signal(t, syscall.SIGUSR1)
		c.expect("something is wrong\n")
	}
	require.Contains(t, c.do("stderr off"), "went before")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// put makes descriptor 2 of this process another one, until the test ends.
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

func TestAStandardErrorThatCannotCome(t *testing.T) {
	_, c := startSession(t)
	c.expect(protocol.Prompt)
	t.Run("it does not block", func(t *testing.T) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer r.Close()
		defer w.Close()
		_ = w.SetWriteDeadline(time.Time{}) // it is in the poller
		raw, err := w.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) { put(t, int(fd)) }))
		require.Equal(t, "stderr: descriptor 2 is in non-blocking mode, and the program may be waiting for it in the poller\n", c.do("stderr on"))
	})
	t.Run("it is not open", func(t *testing.T) {
		put(t, -1)
		require.Equal(t, "stderr: descriptor 2 is not open: bad file descriptor\n", c.do("stderr on"))
	})
	require.Contains(t, c.do("stderr"), "goes where the program sends it")
}

// TestTheStandardErrorIsGivenBack by stderr off, and by the end of the session.
func TestTheStandardErrorIsGivenBack(t *testing.T) {
	var pipe [2]int
	require.NoError(t, syscall.Pipe(pipe[:])) // it blocks, as those do that a shell makes
	put(t, pipe[1])
	require.NoError(t, syscall.Close(pipe[1]))
	require.NoError(t, syscall.SetNonblock(pipe[0], true)) // this end alone
	log := os.NewFile(uintptr(pipe[0]), "log")
	defer log.Close()
	testwait.Deadline(t, log)
	ours, err := unixsock.IDOf(2)
	require.NoError(t, err)
	says := func(text string) {
		t.Helper()
		_, err := fmt.Fprintln(os.Stderr, text)
		require.NoError(t, err)
		got := make([]byte, len(text)+1)
		_, err = io.ReadFull(log, got)
		require.NoError(t, err)
		require.Equal(t, text+"\n", string(got))
	}
	_, c := startSession(t)
	c.expect(protocol.Prompt)
	for _, ends := range []string{"stderr off\n", "exit\n"} {
		c.send("stderr on\n")
		c.expect(protocol.Prompt)
		now, err := unixsock.IDOf(2)
		require.NoError(t, err)
		require.NotEqual(t, ours, now)
		says("both have this")
		c.expect("both have this\n")
		c.send(ends)
		if ends != "exit\n" {
			c.expect(protocol.Prompt)
		}
		eventually(t, func() bool {
			now, err := unixsock.IDOf(2)
			return err == nil && now == ours
		}, "it is not given back")
		says("the log alone has this")
	}
	require.NotContains(t, c.rest(), "alone")
}
