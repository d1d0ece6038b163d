//go:build linux || darwin || freebsd

package oneshot

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

func TestTheSocketIsNeverWiderThan0600(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := testwait.TempDir(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: filepath.Join(dir, "s")})

	// Look at every file that appears in the directory, also under its temporary name,
	// while windows open and close.
	stop, end := testwait.Gate(t)
	var seen int
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer end()
	watcher.Go(func() {
		for !closed(stop) {
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if info, err := e.Info(); err == nil {
					seen++
					if info.Mode() != fs.ModeSocket|0o600 {
						t.Errorf("%s has mode %v", e.Name(), info.Mode())
					}
				}
			}
		}
	})
	for range 200 {
		kill(t, syscall.SIGUSR2)
		m.visitBriefly(t)
	}
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
	connect(t, m.Path())
	end()
	watcher.Wait()
	require.NotZero(t, seen)
}

func TestThePathIsGoneBeforeTheFirstByte(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	for range 100 {
		kill(t, syscall.SIGUSR2)
		c := connect(t, m.Path())
		var first [1]byte
		_, err := c.Read(first[:])
		require.NoError(t, err)
		requireGone(t, m.Path())
		c.Close()
		eventually(t, func() bool { return m.sessionCount() == 0 }, "the session does not end") // there are only so many
	}
}

// Two goroutines poll while windows open and close. connect fails the test if a
// connection is refused.
func TestASocketAtThePathAlwaysAcceptsClients(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	for range 300 {
		kill(t, syscall.SIGUSR2)
		connect(t, m.Path()).leave()
	}
}

func TestADeadSocketIsReplaced(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	leaveDeadSocket(t, m.Path())
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool {
		conn, err := net.Dial("unix", m.Path())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "the dead socket was not replaced")
	eventually(t, func() bool {
		left, err := os.ReadDir(filepath.Dir(m.Path()))
		return err == nil && len(left) == 0
	}, "something is left")
}

func leaveDeadSocket(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	require.NoError(t, ln.Close())
	_, err = net.Dial("unix", path)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestOtherFilesAtThePathAreLeftAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(path string) error
		says string
	}{
		{"regular file", func(path string) error { return os.WriteFile(path, []byte("precious"), 0o644) }, "regular file"},
		{"empty directory", func(path string) error { return os.Mkdir(path, 0o755) }, "directory"},
		{"symbolic link", func(path string) error { return os.Symlink("/etc/passwd", path) }, "symbolic link"},
		{"dangling link", func(path string) error { return os.Symlink("/nowhere", path) }, "symbolic link"},
		{"named pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "named pipe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := install(t, Options{OneshotOn: syscall.SIGUSR2})
			require.NoError(t, test.make(m.Path()))
			before, err := os.Lstat(m.Path())
			require.NoError(t, err)

			err = m.Oneshot(inTime(t))
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, m.Path())
			require.ErrorContains(t, err, "remove it or set SocketPath")
			kill(t, syscall.SIGUSR2)
			eventually(t, func() bool {
				return strings.Count(m.log.String(), "no window") == 2 && m.window() == nil
			}, "the window stays")

			after, err := os.Lstat(m.Path())
			require.NoError(t, err)
			require.True(t, os.SameFile(before, after))
			require.Equal(t, before.ModTime(), after.ModTime())
			left, err := os.ReadDir(filepath.Dir(m.Path()))
			require.NoError(t, err)
			require.Len(t, left, 1, "no temporary name is left")

			// When the obstacle is removed, the next signal works.
			require.NoError(t, os.Remove(m.Path()))
			kill(t, syscall.SIGUSR2)
			connect(t, m.Path()).expect(protocol.Prompt)
		})
	}
}

func TestALiveSocketIsLeftAlone(t *testing.T) {
	for _, kind := range []string{"unix", "unixpacket", "unixgram"} {
		t.Run(kind, func(t *testing.T) {
			m := install(t, Options{})
			var accepted func() error
			if kind == "unixgram" {
				pc, err := net.ListenPacket(kind, m.Path())
				require.NoError(t, err)
				defer pc.Close()
				accepted = func() error {
					_ = pc.SetReadDeadline(time.Unix(1, 0))
					_, _, err := pc.ReadFrom(make([]byte, 1))
					return err
				}
			} else {
				ln, err := net.Listen(kind, m.Path())
				if err != nil {
					t.Skipf("no %s sockets here: %v", kind, err)
				}
				defer ln.Close()
				accepted = func() error {
					_ = ln.(*net.UnixListener).SetDeadline(time.Now().Add(20 * time.Millisecond))
					_, err := ln.Accept()
					return err
				}
			}
			require.ErrorIs(t, m.Oneshot(inTime(t)), ErrPathInUse)
			require.ErrorIs(t, accepted(), os.ErrDeadlineExceeded, "its owner has not been bothered")
			_, err := os.Lstat(m.Path())
			require.NoError(t, err)
		})
	}
}

func TestOnlyOurOwnInodeIsUnlinked(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
	require.NoError(t, os.Remove(m.Path()))
	require.NoError(t, os.WriteFile(m.Path(), []byte("precious"), 0o600))
	require.NoError(t, m.Uninstall())
	text, err := os.ReadFile(m.Path())
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
	require.Contains(t, m.log.String(), "left alone")
}

func TestARefusedClientDoesNotCloseTheWindow(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, Authorize: func(c Cred) error {
		mu.Lock()
		defer mu.Unlock()
		asked++
		switch {
		case c.UID != os.Geteuid():
			return errors.New("wrong credentials in the test")
		case asked == 1:
			return errors.New("not today")
		case asked == 2:
			panic("oops")
		}
		return nil
	}})
	kill(t, syscall.SIGUSR2)
	require.Equal(t, "oneshot: refused: not today\n", connect(t, m.Path()).rest())
	require.Contains(t, connect(t, m.Path()).rest(), "oops")
	connect(t, m.Path()).expect(protocol.Prompt)
	requireGone(t, m.Path())
	m.Manhole.log.Flush(testwait.Patience)
	require.Contains(t, m.log.String(), "client refused")
	require.Contains(t, m.log.String(), "not today")
}

func TestAWindowTimesOut(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, ConnectTimeout: 10 * time.Millisecond})
	kill(t, syscall.SIGUSR2)
	m.waitForLog(t, "nobody came")
	requireGone(t, m.Path())
}

func (m testManhole) waitForLog(t *testing.T, text string) {
	t.Helper()
	eventually(t, func() bool { return strings.Contains(m.log.String(), text) }, "%q is not logged", text)
}

func TestASignalRestartsTheTimeout(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, ConnectTimeout: time.Minute})
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
	w := m.window()
	deadline := func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.deadline
	}
	first := deadline()
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { return deadline().After(first) }, "not extended")
	require.Same(t, w, m.window())
	connect(t, m.Path()).expect(protocol.Prompt)
}

func TestASignalDuringASessionOpensAnotherWindow(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	var inside []client
	for range maxSessions {
		kill(t, syscall.SIGUSR2)
		c := connect(t, m.Path())
		c.expect(protocol.Prompt)
		inside = append(inside, c)
	}
	kill(t, syscall.SIGUSR2)
	require.Contains(t, connect(t, m.Path()).rest(), "8 sessions are open already")
	// The refused client has not closed the window.
	inside[0].send("exit\n")
	inside[0].rest()
	eventually(t, func() bool { return m.sessionCount() < maxSessions }, "no place became free")
	connect(t, m.Path()).expect(protocol.Prompt)
	for _, c := range inside[1:] {
		require.Contains(t, c.do("help"), "stacks")
	}
}

func TestASecondClientIsRefused(t *testing.T) {
	// Both have connected before the first one is accepted.
	enter, letIn := testwait.Gate(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, Authorize: func(Cred) error {
		<-enter
		return nil
	}})
	kill(t, syscall.SIGUSR2)
	first, second := connect(t, m.Path()), connect(t, m.Path())
	letIn()
	first.expect(protocol.Prompt)
	require.Equal(t, "oneshot: too late, the window is closed: another client has entered\n", second.rest())
}

func TestASignalWhileTheWindowClosesIsNotLost(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	for range 100 {
		w, mine, err := m.activate()
		require.NoError(t, err)
		require.True(t, mine)
		go m.serveWindow(w)
		eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
		w.shut(errors.New("shut by the test"))
		require.True(t, m.Handle(syscall.SIGUSR2))
		connect(t, m.Path()).leave()
	}
}

func TestTheUmaskDoesNotChangeTheMode(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	old := syscall.Umask(0o777)
	defer syscall.Umask(old)
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
	info, err := os.Lstat(m.Path())
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, info.Mode())
	connect(t, m.Path()).expect(protocol.Prompt)
}

func TestAnAuthorizeFunctionThatBlocks(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for name, authorize := range map[string]func(Cred) error{
		"ends its goroutine": func(Cred) error { runtime.Goexit(); return nil },
		"blocks":             func(Cred) error { <-release; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := install(t, Options{Authorize: authorize})
			done := make(chan error, 1)
			go func() { done <- m.Oneshot(t.Context()) }()
			c := connect(t, m.Path())
			if name != "blocks" {
				require.Contains(t, c.rest(), "ended its goroutine")
			}
			require.NoError(t, m.Uninstall())
			require.ErrorIs(t, testwait.Receive(t, done, "Oneshot to return"), ErrNotInstalled)
			requireGone(t, m.Path())
			again := install(t, Options{OneshotOn: syscall.SIGUSR2})
			kill(t, syscall.SIGUSR2)
			connect(t, again.Path()).expect(protocol.Prompt)
		})
	}
}

// TestHandleDoesNotWaitForTheFileSystem has a file system on which a system call takes
// as long as the test wants.
func TestHandleDoesNotWaitForTheFileSystem(t *testing.T) {
	for _, test := range []struct {
		name string
		slow func(c *unixsock.Calls, wait func())
		shut bool // the window is shut, which makes the slow call
	}{
		{"bind", func(c *unixsock.Calls, wait func()) {
			bind := c.Bind
			c.Bind = func(fd int, path string) error { wait(); return bind(fd, path) }
		}, false},
		{"unlink", func(c *unixsock.Calls, wait func()) {
			unlink := c.Unlink
			c.Unlink = func(path string) error { wait(); return unlink(path) }
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			begun, begin := testwait.Gate(t)
			slow, end := testwait.Gate(t)
			m := install(t, Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
			defer end() // before the end of the manhole
			defer unixsock.Replace(func(c *unixsock.Calls) {
				test.slow(c, func() {
					begin()
					<-slow
				})
			})()
			handle := func(sig syscall.Signal) bool {
				t.Helper()
				returned := make(chan bool, 1)
				go func() { returned <- m.Handle(sig) }()
				return testwait.Receive(t, returned, "Handle(%v) to return", sig)
			}
			require.True(t, handle(syscall.SIGUSR2))
			w := m.window()
			if test.shut {
				eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
				go w.shut(errUninstalled)
			}
			testwait.Receive(t, begun, "the slow system call")
			require.True(t, handle(syscall.SIGUSR2), "it extends the window, or requests another")
			require.False(t, handle(syscall.SIGTERM))
			require.Error(t, w.why(), "the window is shut")
			end()
			testwait.Receive(t, w.done, "the end of the window")
			if !test.shut {
				requireGone(t, m.Path())
			}
			require.True(t, handle(syscall.SIGUSR2))
			connect(t, m.Path()).leave()
		})
	}
}
