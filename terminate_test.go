//go:build linux

package oneshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// TestATerminatingSignalInAnOpenWindow sends every sigset.Terminating signal to every kind of
// program, many times. The socket must be removed, and the program must then do what
// it would have done without a manhole.
func TestATerminatingSignalInAnOpenWindow(t *testing.T) {
	times := 2
	if testwait.RaceDetector { // each takes longer
		times = 1
	}
	for _, around := range []string{"", " load", " subscribed", " subscribed load"} {
		for _, name := range []string{"bare", "early", "late", "context", "atonce", "wait", "handle"} {
			if name == "atonce" && around != "" && around != " load" {
				// With signal.Notify alone, a program that calls os.Exit in its handler may
				// exit before the guard has removed the socket.
				continue
			}
			t.Run(name+around, func(t *testing.T) {
				t.Parallel()
				for _, sig := range sigset.Terminating {
					for range times {
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

// requireEnded waits for the end of the program, and requires the right wait status.
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

// The signals arrive while windows open and close.
//
// A guard that has to subscribe cannot tell one thing: the signal arrives during its very
// first probe, which takes some 50 µs, on the thread that the probe watches, and the program
// stops listening at once. That thread gets a signal only while the main thread blocks it.
// This happened to one program of 3,000 here, on busy CPUs.
func TestATerminatingSignalAtAnyMoment(t *testing.T) {
	for spec, step := range map[string]time.Duration{
		"bare": 10 * time.Microsecond,
		"wait": 10 * time.Microsecond,
		// While the guard subscribes to the signals, which takes milliseconds.
		"bare subscribed":    80 * time.Microsecond,
		"context subscribed": 80 * time.Microsecond,
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			untold := 0
			for i := range 40 {
				p := startProgram(t, spec)
				p.signal(t, syscall.SIGUSR2)
				// The moment is the subject: from before the socket is created until after it exists.
				time.Sleep(time.Duration(i) * step)
				p.signal(t, syscall.SIGTERM)
				name, _, _ := strings.Cut(spec, " ")
				if spec == "context subscribed" && untold == 0 && p.wait(t).Signaled() {
					untold, name = 1, "bare"
				}
				requireEnded(t, p, name, syscall.SIGTERM)
			}
		})
	}
}

// TestTerminatingSignalsWhileWindowsOpenAndClose sends signals while the socket is
// being created.
func TestTerminatingSignalsWhileWindowsOpenAndClose(t *testing.T) {
	for i := range 100 {
		p := startProgram(t, "churn")
		time.Sleep(time.Duration(i) * 17 * time.Microsecond) // the moment is the subject
		p.signal(t, sigset.Terminating[i%len(sigset.Terminating)])
		requireEnded(t, p, "bare", sigset.Terminating[i%len(sigset.Terminating)])
	}
}

func TestATerminatingSignalWithoutAWindow(t *testing.T) {
	for _, name := range []string{"bare", "early", "wait"} {
		p := startProgram(t, name)
		p.signal(t, syscall.SIGTERM)
		requireEnded(t, p, name, syscall.SIGTERM)
	}
}

func TestATerminatingSignalAfterAWindow(t *testing.T) {
	for _, around := range []string{"", " subscribed"} {
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

// SIGHUP is ignored under nohup and in background jobs of scripts.
func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	for _, around := range []string{"", " subscribed"} {
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

// The command signals runs again and again while SIGTERM arrives.
func TestTheProbeTakesNoSignalFromTheProgram(t *testing.T) {
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

// TestAFailedExchangeLeavesNoSocket has a window replace a dead socket. Somebody puts a file
// there first, and the file cannot be put back. (This is here because the system call is
// that of Linux.)
func TestAFailedExchangeLeavesNoSocket(t *testing.T) {
	h := hostFor(t, Options{})
	w := windowFor(t, h, time.Hour)
	path := w.instance.path
	dead, err := unixsock.Listen(path)
	require.NoError(t, err)
	dead.Close()
	exchanges := 0
	restore := unixsock.Replace(func(c *unixsock.Calls) {
		kernel := c.Renameat2
		c.Renameat2 = func(from, to string, flags uint) error {
			if flags != unix.RENAME_EXCHANGE {
				return kernel(from, to, flags)
			}
			if exchanges++; exchanges > 1 {
				return unix.EIO
			}
			return errors.Join(os.Remove(to), os.WriteFile(to, []byte("precious"), 0o600), kernel(from, to, flags))
		}
	})
	defer restore()
	w.open(t)
	testwait.Receive(t, w.done, "the end of the window")
	require.ErrorIs(t, w.why(), unix.EIO)
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), left[0].Name()))
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}
