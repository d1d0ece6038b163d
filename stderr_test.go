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
	"runtime"
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
		signal.Notify(c, syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGCONT)
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
			case syscall.SIGCONT: // a program that is upgraded
				err := syscall.Exec("/bin/sh", []string{"sh", "-c", "for n in 1 2 3; do echo new >&2 || exit; done; echo lives"}, os.Environ())
				fmt.Println("executed", err)
			case syscall.SIGALRM:
				child := exec.Command("sh", "-c", "sleep 0.5; echo from the child >&2")
				child.Stderr = os.Stderr
				err := child.Start()
				fmt.Println("started", err)
				go func() { fmt.Println("ended", child.Wait()) }()
			}
		}
	}
	// The program floods its standard error, and reports how much it has written.
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

// startWithStderr starts a program, and returns its standard error too.
func startWithStderr(t *testing.T, spec string, env ...string) (*program, *testwait.Buffer) {
	t.Helper()
	stderr := &testwait.Buffer{}
	p := newProgram(t, spec)
	p.Env = append(p.Env, env...)
	p.Stderr = stderr
	p.started(t)
	return p, stderr
}

func TestStandardErrorIsCopiedToTheSession(t *testing.T) {
	p, stderr := startWithStderr(t, "stderr")
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	require.Equal(t, "standard error does not come here; stderr on sends a copy here\n", c.do("stderr"))
	require.Contains(t, c.do("stderr off"), "it is off in this session already")
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
	c.expect("does not come here any more\n")
	p.signal(t, syscall.SIGUSR1)
	eventually(t, func() bool { return strings.Count(stderr.String(), "something is wrong") == 2 }, "it is lost")
	require.Contains(t, other.do("stderr on"), "until stderr off")
	p.signal(t, syscall.SIGUSR1)
	other.expect("something is wrong\n")

	// The descriptor is restored, no matter what ends the session.
	other.Close()
	eventually(t, func() bool {
		p.signal(t, syscall.SIGUSR1)
		time.Sleep(10 * time.Millisecond) // otherwise two signals could become one
		return strings.Count(stderr.String(), "something is wrong") > 3
	}, "it does not come back")
}

func TestRedirectStderrWorksFromTheStart(t *testing.T) {
	p, _ := startWithStderr(t, "stderr", "REDIRECT=1")
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	p.signal(t, syscall.SIGUSR1)
	c.expect("something is wrong\n")
}

func TestACrashIsPrintedToTheOldStandardError(t *testing.T) {
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

// A child that has inherited the pipe lives longer than the session. SIGPIPE must not kill
// it.
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

// A program that the process executes in its own place has the pipe, which nobody reads
// any more, and is not killed by SIGPIPE.
func TestAProgramExecutedInPlaceIsNotKilledByItsStandardError(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has an end of the pipe that is safe from SIGPIPE")
	}
	p, _ := startWithStderr(t, "stderr", "REDIRECT=1")
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	p.signal(t, syscall.SIGCONT)
	require.Equal(t, "lives\n", p.line(t))
	require.Zero(t, p.wait(t).ExitStatus())
}

// The client does not read meanwhile.
func TestAFloodOfStandardErrorNeverWaits(t *testing.T) {
	p := newProgram(t, "floods")
	p.started(t) // standard error is /dev/null
	p.signal(t, syscall.SIGUSR2)
	c := connect(t, p.path)
	c.expect(protocol.Prompt)
	c.send("stderr on\n")
	c.expect("session\n")
	c.expect(strings.Repeat("x", 1000) + "\n")
	for seen := 0; seen < 10; { // it does not stop
		if strings.HasPrefix(p.line(t), "written") {
			seen++
		}
	}
	var b bytes.Buffer
	_, _ = io.CopyN(&b, c, 1<<20)
	require.Contains(t, b.String(), "xxx")
}

// If the program replaces its standard error meanwhile, the new one is kept.
func TestALogRotatedMeanwhileIsKept(t *testing.T) {
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

// If nobody reads the old standard error any more, the client still gets the output.
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
	require.Contains(t, c.do("stderr off"), "does not come here any more")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
