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
