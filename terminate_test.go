//go:build linux

package oneshot

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
)

// TestTerminatedInAnOpenWindow sends every sigset.Terminating signal to every kind of
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
				for _, sig := range sigset.Terminating {
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
		p.signal(t, sigset.Terminating[i%len(sigset.Terminating)])
		requireEnded(t, p, "bare", sigset.Terminating[i%len(sigset.Terminating)])
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
