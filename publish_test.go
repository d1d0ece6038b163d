//go:build linux || darwin || freebsd

package oneshot

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/guard"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// This file tests one window without a manhole, a receiver or a signal.

// windowFor returns a window with its own path. No signal closes it.
func windowFor(t *testing.T, h testHost, stays time.Duration) *window {
	t.Helper()
	at := &instance{proc: thisProcess(), path: filepath.Join(testwait.TempDir(t), "s")}
	return newWindow(h.host, at, stays, func(func(syscall.Signal)) *guard.Guard { return &guard.Guard{} })
}

// open runs the window, and the session of the client that enters.
func (w *window) open(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	ours.Go(func() {
		defer close(ended)
		w.awaitClient()
		close(w.done)
		if w.session != nil {
			w.session.run()
		}
	})
	t.Cleanup(func() {
		w.shut(errUninstalled) // the test may have done so
		testwait.Receive(t, w.done, "the end of the window")
		testwait.Receive(t, ended, "the end of its session")
	})
}

// ended waits for the end of the window and returns the reason.
func (w *window) ended(t *testing.T) error {
	t.Helper()
	testwait.Receive(t, w.done, "the end of the window")
	requireGone(t, w.instance.path)
	left, err := os.ReadDir(filepath.Dir(w.instance.path))
	require.NoError(t, err)
	require.Empty(t, left)
	return w.why()
}

func TestAWindowLetsOneClientIn(t *testing.T) {
	h := hostFor(t, Options{})
	w := windowFor(t, h, time.Hour)
	w.open(t)
	c := connect(t, w.instance.path)
	c.expect(protocol.Prompt)
	require.ErrorIs(t, w.ended(t), errTaken)
	require.Equal(t, os.Geteuid(), w.session.Cred().UID)
	require.False(t, w.extend(time.Hour), "it is shut for good")
	require.False(t, w.shut(errUninstalled), "only the first reason counts")
	c.send("exit\n")
	require.Empty(t, c.rest())
	h.ended(t)
	h.host.log.Flush(testwait.Patience)
	require.Regexp(t, `(?s)window open.* path=`+w.instance.path+`.*session open.*session closed`, h.log.String())
}

func TestAWindowOutlivesARefusedClient(t *testing.T) {
	var asked atomic.Int32
	h := hostFor(t, Options{Authorize: func(c Cred) error {
		if n := asked.Add(1); n < 3 {
			return fmt.Errorf("number %d is not let in", n)
		}
		return nil
	}})
	w := windowFor(t, h, time.Hour)
	w.open(t)
	require.Equal(t, protocol.Refused+"number 1 is not let in\n", connect(t, w.instance.path).rest())
	require.Equal(t, protocol.Refused+"number 2 is not let in\n", connect(t, w.instance.path).rest())
	connect(t, w.instance.path).expect(protocol.Prompt)
	require.ErrorIs(t, w.ended(t), errTaken)
	h.host.log.Flush(testwait.Patience)
	require.Equal(t, 2, strings.Count(h.log.String(), "client refused"))
}

func TestAWindowOutlivesTooManySessions(t *testing.T) {
	h := hostFor(t, Options{})
	var inside []client
	for range maxSessions {
		inside = append(inside, h.enter(t))
	}
	w := windowFor(t, h, time.Hour)
	w.open(t)
	require.Contains(t, connect(t, w.instance.path).rest(), "8 sessions are open already")
	inside[0].Close()
	eventually(t, func() bool { now, _ := h.sessions.running(); return len(now) < maxSessions }, "no place became free")
	connect(t, w.instance.path).expect(protocol.Prompt)
	require.ErrorIs(t, w.ended(t), errTaken)
}

func TestAWindowTimesOutAndCanBeExtended(t *testing.T) {
	h := hostFor(t, Options{})
	w := windowFor(t, h, 10*time.Millisecond)
	w.open(t)
	require.ErrorIs(t, w.ended(t), os.ErrDeadlineExceeded)
	require.Nil(t, w.session)

	w = windowFor(t, h, time.Hour)
	require.True(t, w.extend(2*time.Hour), "before it is there")
	w.open(t)
	eventually(t, func() bool { _, err := os.Lstat(w.instance.path); return err == nil }, "no socket")
	require.True(t, w.extend(10*time.Millisecond), "an earlier end")
	require.ErrorIs(t, w.ended(t), errNobodyCame)
}

func TestAWindowThatIsShut(t *testing.T) {
	why := errors.New("shut by the test")
	enter, letIn := testwait.Gate(t)
	h := hostFor(t, Options{Authorize: func(Cred) error { <-enter; return nil }})
	w := windowFor(t, h, time.Hour)
	w.open(t)
	first, second := connect(t, w.instance.path), connect(t, w.instance.path)
	eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.ln != nil }, "no socket")
	require.True(t, w.shut(why))
	requireGone(t, w.instance.path)
	letIn()
	require.ErrorIs(t, w.ended(t), why)
	for _, c := range []client{first, second} { // one waited for Authorize, the other in the queue
		require.Regexp(t, "^oneshot: .*: shut by the test\n$", c.rest())
	}

	w = windowFor(t, h, time.Hour)
	require.True(t, w.shut(why))
	w.open(t)
	require.ErrorIs(t, w.ended(t), why, "it was shut before it was opened")
}

func TestAWindowIsDelayed(t *testing.T) {
	h := hostFor(t, Options{})
	w := windowFor(t, h, time.Hour)
	w.instance.wait(50 * time.Millisecond)
	began := time.Now()
	w.open(t)
	connect(t, w.instance.path).expect(protocol.Prompt)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)

	w = windowFor(t, h, time.Hour)
	w.instance.wait(time.Hour)
	w.open(t)
	require.True(t, w.shut(errUninstalled))
	require.ErrorIs(t, w.ended(t), ErrNotInstalled)
}

// The cases are errors of the system. The log must say what failed and what to do, and
// nothing may be left at the path.
func TestAWindowThatCannotBeOpened(t *testing.T) {
	socket := func(errno error) func(*unixsock.Calls) {
		return func(c *unixsock.Calls) { c.Socket = func(int) (int, error) { return -1, errno } }
	}
	bind := func(errno error) func(*unixsock.Calls) {
		return func(c *unixsock.Calls) { c.Bind = func(int, string) error { return errno } }
	}
	for _, test := range []struct {
		name   string
		change func(*unixsock.Calls)
		errno  error
		says   string // DIR stands for the directory
	}{
		{"EMFILE", socket(syscall.EMFILE), syscall.EMFILE, "raise the limit (prlimit --pid PID --nofile=N) or have the program close some, and try again"},
		{"ENFILE", socket(syscall.ENFILE), syscall.ENFILE, "raise the limit of the system (sysctl fs.file-max), and try again"},
		{"ENOBUFS", socket(syscall.ENOBUFS), syscall.ENOBUFS, "socket: no buffer space available"},
		{"ENOSPC", bind(syscall.ENOSPC), syscall.ENOSPC, "make room in DIR (df -i DIR), and try again"},
		{"EDQUOT", bind(syscall.EDQUOT), syscall.EDQUOT, "make room in DIR (df -i DIR), and try again"},
		{"EROFS", bind(syscall.EROFS), syscall.EROFS, "make DIR writable, and try again"},
		{"ENOENT", bind(syscall.ENOENT), fs.ErrNotExist, "create DIR, and try again"},
		{"EACCES", bind(syscall.EACCES), fs.ErrPermission, "let uid UID write to DIR, and try again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hostFor(t, Options{})
			w := windowFor(t, h, time.Hour)
			restore := unixsock.Replace(test.change)
			defer restore()
			w.open(t)
			err := w.ended(t)
			require.ErrorIs(t, err, test.errno)
			says := strings.NewReplacer("DIR", filepath.Dir(w.instance.path), "PID", fmt.Sprint(os.Getpid()), "UID", fmt.Sprint(os.Geteuid())).Replace(test.says)
			require.ErrorContains(t, err, says)
			h.host.log.Flush(testwait.Patience)
			require.Contains(t, h.log.String(), "no window")
			require.Contains(t, h.log.String(), says)
		})
	}
}

func TestAWindowTriesAgainAfterAcceptFails(t *testing.T) {
	h := hostFor(t, Options{})
	w := windowFor(t, h, time.Hour)
	var failed atomic.Int32
	restore := unixsock.Replace(func(c *unixsock.Calls) {
		accept := c.Accept
		c.Accept = func(fd int) (int, error) {
			client, err := accept(fd)
			if err == nil && failed.Add(1) < 4 {
				syscall.Close(client)
				return -1, syscall.EMFILE
			}
			return client, err
		}
	})
	defer restore()
	w.open(t)
	for range 3 {
		require.Empty(t, connect(t, w.instance.path).rest())
	}
	connect(t, w.instance.path).expect(protocol.Prompt)
	require.ErrorIs(t, w.ended(t), errTaken)
	h.host.log.Flush(testwait.Patience)
	require.Equal(t, 1, strings.Count(h.log.String(), "cannot accept a client, will try again"), "it is logged once")
	require.Contains(t, h.log.String(), "accept: too many open files; raise the limit (prlimit --pid")
}

func TestASocketThatCannotBeRemoved(t *testing.T) {
	h := hostFor(t, Options{})
	w := windowFor(t, h, time.Hour)
	restore := unixsock.Replace(func(c *unixsock.Calls) { c.Unlink = func(string) error { return syscall.EROFS } })
	defer restore()
	w.open(t)
	c := connect(t, w.instance.path)
	c.expect(protocol.Prompt)
	c.Close()
	h.ended(t)
	h.host.log.Flush(testwait.Patience)
	require.Contains(t, h.log.String(), "the socket was not removed")
	require.Contains(t, h.log.String(), "read-only file system")
	restore()
	require.NoError(t, os.Remove(w.instance.path))
	require.ErrorIs(t, w.why(), errTaken)
}

// TestAWindowWaitsForAuthorizeNoLongerThanItsClient has a rule that does not return for the
// first client. When that one goes, the next may enter.
func TestAWindowWaitsForAuthorizeNoLongerThanItsClient(t *testing.T) {
	never, end := testwait.Gate(t)
	defer end()
	var asked atomic.Int32
	h := hostFor(t, Options{Authorize: func(Cred) error {
		if asked.Add(1) == 1 {
			<-never
		}
		return nil
	}})
	w := windowFor(t, h, time.Hour)
	w.open(t)
	first, second := connect(t, w.instance.path), connect(t, w.instance.path)
	eventually(t, func() bool { return asked.Load() == 1 }, "Authorize is not called")
	first.Close()
	second.expect(protocol.Prompt)
	require.ErrorIs(t, w.ended(t), errTaken)
	h.host.log.Flush(testwait.Patience)
	require.Contains(t, h.log.String(), "the client has gone before the Authorize function returned")
}

// TestAWindowWaitsForAuthorizeNoLongerThanItsDeadline is about a rule that never returns.
// When too many calls hang, no other is begun.
func TestAWindowWaitsForAuthorizeNoLongerThanItsDeadline(t *testing.T) {
	never, end := testwait.Gate(t)
	h := hostFor(t, Options{Authorize: func(Cred) error { <-never; return nil }})
	for range maxAbandoned {
		w := windowFor(t, h, 10*time.Millisecond)
		w.open(t)
		for w.why() == nil { // until a client was in time, or not; the result is the same
			if c, err := net.Dial("unix", w.instance.path); err == nil {
				defer c.Close()
				break
			}
		}
		require.ErrorIs(t, w.ended(t), errNobodyCame)
	}
	end()
	eventually(t, func() bool { return h.asking.Load() == 0 }, "the calls do not end")
	h.asking.Store(maxAbandoned)
	w := windowFor(t, h, time.Hour)
	w.open(t)
	require.Contains(t, connect(t, w.instance.path).rest(), "16 calls of the Authorize function have not returned")
	h.asking.Store(0)
	connect(t, w.instance.path).expect(protocol.Prompt)
}
