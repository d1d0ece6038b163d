//go:build linux

package oneshot

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestTerminatedInAnOpenWindow sends every terminating signal to every kind of
// program, many times over: the socket goes, and then what the program would
// have done without a manhole happens.
func TestTerminatedInAnOpenWindow(t *testing.T) {
	for _, around := range []string{"", " load", " posts", " posts load"} {
		for _, name := range []string{"bare", "early", "late", "context", "atonce", "wait", "handle"} {
			if name == "atonce" && around != "" && around != " load" {
				// With signal.Notify alone a program that calls os.Exit
				// in its handler may be quicker than the guard.
				continue
			}
			t.Run(name+around, func(t *testing.T) {
				t.Parallel()
				for _, sig := range terminating {
					for range 2 {
						p := startProgram(t, name+around)
						p.open(t)
						if name == "late" {
							p.ready(t)
						}
						p.signal(t, sig)
						requireEnded(t, p, name, sig)
					}
				}
			})
		}
	}
}

// requireEnded waits for the program's end, which is to be of its own kind.
func requireEnded(t *testing.T, p *program, name string, sig syscall.Signal) {
	t.Helper()
	status := p.wait(t)
	if name == "bare" {
		require.True(t, status.Signaled(), "%v: %#x", sig, status)
		require.Equal(t, sig, status.Signal())
	} else {
		require.Equal(t, handled, status.ExitStatus(), "%v: %#x", sig, status)
	}
	left, err := os.ReadDir(filepath.Dir(p.path))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestTerminatedAtAnyMoment hits the program while windows open and close.
func TestTerminatedAtAnyMoment(t *testing.T) {
	for _, name := range []string{"bare", "wait"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 40 {
				p := startProgram(t, name)
				p.signal(t, syscall.SIGUSR2)
				// The moment is the subject: from before the socket is
				// made to after it stands.
				time.Sleep(time.Duration(i) * 10 * time.Microsecond)
				p.signal(t, syscall.SIGTERM)
				requireEnded(t, p, name, syscall.SIGTERM)
			}
		})
	}
}

// TestTerminatedWhileWindowsComeAndGo hits the making of the socket itself.
func TestTerminatedWhileWindowsComeAndGo(t *testing.T) {
	for i := range 100 {
		p := startProgram(t, "churn")
		time.Sleep(time.Duration(i) * 17 * time.Microsecond) // the moment is the subject
		p.signal(t, terminating[i%len(terminating)])
		requireEnded(t, p, "bare", terminating[i%len(terminating)])
	}
}

func TestTerminatedWithoutAWindow(t *testing.T) {
	for _, name := range []string{"bare", "early", "wait"} {
		p := startProgram(t, name)
		p.signal(t, syscall.SIGTERM)
		requireEnded(t, p, name, syscall.SIGTERM)
	}
}

func TestTerminatedAfterAWindow(t *testing.T) {
	for _, around := range []string{"", " posts"} {
		p := startProgram(t, "bare"+around)
		p.signal(t, syscall.SIGUSR2)
		c := connect(t, p.path)
		c.expect(protocol.Prompt)
		c.do("help")
		p.signal(t, syscall.SIGTERM)
		requireEnded(t, p, "bare", syscall.SIGTERM)
	}
}

func TestTerminatePolicies(t *testing.T) {
	t.Run("leave", func(t *testing.T) {
		p := startProgram(t, "bare leave")
		p.open(t)
		p.signal(t, syscall.SIGTERM)
		eventually(t, func() bool { _, err := os.Lstat(p.path); return err != nil }, "the socket stays")
		p.open(t) // it lives
		require.NoError(t, p.Process.Kill())
	})
	t.Run("reraise", func(t *testing.T) {
		p := startProgram(t, "early reraise")
		p.open(t)
		p.signal(t, syscall.SIGTERM)
		require.Equal(t, 4, p.wait(t).ExitStatus(), "the program's handler has it twice")
		requireGone(t, p.path)
	})
}

// TestAnIgnoredSignalStaysIgnored: nohup, and background jobs of scripts.
func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	for _, around := range []string{"", " posts"} {
		t.Run("ignored"+around, func(t *testing.T) {
			p := startIgnoring(t, "bare"+around)
			p.open(t)
			p.signal(t, syscall.SIGHUP)
			c := connect(t, p.path)
			c.expect(protocol.Prompt)
			require.Contains(t, c.do("signals"), "SIGHUP      ignored")
			c.send("exit\n")
			c.rest()
			p.signal(t, syscall.SIGHUP)
			p.open(t) // it lives
			p.signal(t, syscall.SIGTERM)
			requireEnded(t, p, "bare", syscall.SIGTERM)
		})
	}
}

func TestTheProbeTellsWhoListens(t *testing.T) {
	thread := findSigThread()
	if thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	m := &Manhole{sigThread: thread}
	for range 50 {
		require.Equal(t, subscriberNone, ask(m))
		c := listen(syscall.SIGTERM)
		require.Equal(t, subscriberOther, ask(m))
		c()
	}
	require.Equal(t, subscriberUnknown, ask(&Manhole{}), "without calibration")
	require.Equal(t, subscriberUnknown, ask(&Manhole{sigThread: sigThread{"/proc/self/task/0"}}))
}

// TestAskingDoesNotKeepASignalFromTheProgram: signals is typed again and again
// while SIGTERM comes.
func TestAskingDoesNotKeepASignalFromTheProgram(t *testing.T) {
	for range 20 {
		p := startProgram(t, "bare")
		p.signal(t, syscall.SIGUSR2)
		c := connect(t, p.path)
		c.expect(protocol.Prompt)
		go func() {
			for {
				if _, err := c.Write([]byte("signals\n")); err != nil {
					return
				}
			}
		}()
		c.expect("nobody handles it")
		p.signal(t, syscall.SIGTERM)
		requireEnded(t, p, "bare", syscall.SIGTERM)
		c.Close()
	}
}

// TestWhoHasHadTheSignalIsNotTakenForNobody: a program stops listening as soon as
// it has the signal, while it is asked who handles it.
func TestWhoHasHadTheSignalIsNotTakenForNobody(t *testing.T) {
	m := install(t, Options{}).Manhole
	if m.sigThread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	c := make(chan os.Signal, 1)
	defer signal.Stop(c)
	came := 0 // while it was asked
	for round := 0; came < 4 && round < 5000; round++ {
		signal.Notify(c, syscall.SIGTERM)
		require.Equal(t, subscriberOther, ask(m))
		var program sync.WaitGroup
		program.Go(func() {
			select {
			case <-c:
			case <-time.After(testwait.Patience):
				t.Error("waited for SIGTERM")
			}
			signal.Stop(c)
		})
		program.Go(func() {
			time.Sleep(time.Duration(round%20) * 100 * time.Microsecond) // while it is asked
			_ = sigset.Raise(syscall.SIGTERM)
		})
		answer, swallowed := m.subscribers(syscall.SIGTERM)
		program.Wait() // each has its time
		if swallowed {
			came++
			require.Equal(t, subscriberOther, answer, "after %d that were right", came-1)
		}
	}
	require.Positive(t, came)
}

func TestTheMaskTellsWhatAProgramListensTo(t *testing.T) {
	thread := findSigThread()
	if thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	for _, sigs := range [][]syscall.Signal{{syscall.SIGUSR1}, {syscall.SIGUSR2, syscall.SIGWINCH, 40}} {
		stop := listen(sigs...)
		got, err := thread.listens()
		stop()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(sigset.Of(sigs...)), fmt.Sprint(got))
	}
	_, err := sigThread{}.listens()
	require.Error(t, err)
}

// TestTheMaskTellsTheSameWhileSignalsCome: in a handler everything is blocked.
func TestTheMaskTellsTheSameWhileSignalsCome(t *testing.T) {
	thread := findSigThread()
	if thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	defer listen(syscall.SIGUSR1)()
	tid, err := strconv.Atoi(filepath.Base(thread.dir))
	require.NoError(t, err)
	var over atomic.Bool
	var sender sync.WaitGroup
	sender.Go(func() {
		for !over.Load() {
			_ = unix.Tgkill(os.Getpid(), tid, syscall.SIGUSR1) // it is there
			runtime.Gosched()
		}
	})
	defer sender.Wait()
	defer over.Store(true)
	for range 5000 {
		got, err := thread.listens()
		require.NoError(t, err)
		require.Equal(t, sigset.Of(syscall.SIGUSR1), got, "%v", got)
	}
}

func TestTheProbeFindsTheThreadWhateverIsListenedTo(t *testing.T) {
	stop := listen(firstProbeSignal, firstProbeSignal-1)
	defer stop()
	require.NotEmpty(t, findSigThread().dir)
}

func TestTheProbeIsUnknownWhereEverySignalIsListenedTo(t *testing.T) {
	stop := listen() // every signal
	defer stop()
	require.Empty(t, findSigThread().dir)
}
