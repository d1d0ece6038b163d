//go:build linux

package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// crowd is many goroutines that do everything that can be done with a manhole. They use
// the manhole that is installed, and those that were installed before.
type crowd struct {
	dir      string
	last     atomic.Pointer[Manhole]
	sessions atomic.Int64

	mu      sync.Mutex
	strange []error // the errors that are not allowed
}

// did notes an error if it is not one of those that are allowed.
func (c *crowd) did(what string, err error, allowed ...error) {
	if err == nil || slices.ContainsFunc(allowed, func(a error) bool { return errors.Is(err, a) }) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strange = append(c.strange, fmt.Errorf("%s: %w", what, err))
}

func (c *crowd) install(reinstall bool) {
	m, err := Install(Options{
		OneshotOn:      syscall.SIGUSR2,
		ActivateOn:     syscall.SIGUSR1,
		TriggerFile:    filepath.Join(c.dir, "trigger"),
		SocketPath:     filepath.Join(c.dir, "s"),
		ConnectTimeout: 20 * time.Millisecond,
		ReinstallDelay: time.Millisecond,
		NoReceiver:     rand.IntN(2) == 0,
		Reinstall:      reinstall,
		Logger:         slog.New(slog.DiscardHandler),
	})
	c.did("Install", err, ErrAlreadyInstalled)
	if err == nil {
		c.last.Store(m)
	}
}

// act does one thing.
func (c *crowd) act() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(20))*time.Millisecond)
	defer cancel()
	ofContext := []error{context.DeadlineExceeded, context.Canceled}
	ofWindow := append(ofContext, ErrNotInstalled, ErrPathInUse, errNobodyCame, errDeactivated, closedBy{syscall.SIGWINCH})
	m := c.last.Load()
	switch rand.IntN(18) {
	case 0:
		c.install(false)
	case 1:
		c.install(true)
	case 2:
		c.did("Uninstall", m.Uninstall(), ErrNotInstalled)
	case 3:
		c.did("Activate", m.Activate(), ErrNotInstalled)
	case 4:
		m.Deactivate()
	case 5:
		c.did("Oneshot", m.Oneshot(ctx), ofWindow...)
	case 6:
		c.did("Drain", m.Drain(ctx), ofContext...)
	case 7:
		m.Handle(syscall.SIGUSR2)
	case 8:
		m.Handle(syscall.SIGUSR1)
	case 9:
		_, err := m.Wait(ctx, syscall.SIGWINCH)
		c.did("Wait", err, append(ofContext, ErrNotInstalled)...)
	case 10:
		c.did("kill", syscall.Kill(os.Getpid(), []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}[rand.IntN(3)]))
	case 11:
		c.did("trigger", os.WriteFile(filepath.Join(c.dir, "trigger"), fmt.Append(nil, os.Getpid()), 0o600))
	default:
		c.visit(m.Path())
	}
}

// visit is a client, which may leave at any moment.
func (c *crowd) visit(path string) {
	conn, err := net.Dial("unix", path)
	for range 20 {
		if err == nil {
			break
		}
		time.Sleep(time.Millisecond)
		conn, err = net.Dial("unix", path)
	}
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testwait.Patience))
	line := []string{"help\n", "stacks\n", "mem\x03\n", "sessions\nexit\n", "history"}[rand.IntN(5)]
	if _, err := io.WriteString(conn, line); err != nil || rand.IntN(2) == 0 {
		return
	}
	_ = conn.(*net.UnixConn).CloseWrite()
	out, err := io.ReadAll(conn)
	c.did("session", err, syscall.ECONNRESET)
	if err == nil && len(out) > 1000 {
		c.sessions.Add(1)
	}
}

// oneSession installs a manhole, runs a session, and uninstalls the manhole.
func (c *crowd) oneSession(t *testing.T) {
	t.Helper()
	c.install(true)
	m := Installed()
	done := make(chan error, 1)
	go func() { done <- m.Oneshot(context.Background()) }()
	last := connect(t, m.Path())
	last.leave()
	last.Close()
	require.NoError(t, testwait.Receive(t, done, "Oneshot to return"))
	require.NoError(t, m.Uninstall())
	requireGone(t, m.Path())
}

// TestConcurrentCallsLeaveNothingBehind calls everything at the same time, while
// sessions run. Every call must return an allowed result, and nothing may be left.
func TestConcurrentCallsLeaveNothingBehind(t *testing.T) {
	others := make(chan os.Signal, 1) // if no manhole is installed, these signals would end the program
	signal.Notify(others, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	defer signal.Stop(others)
	ignored := goleak.IgnoreCurrent()
	descriptors := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	c := &crowd{dir: testwait.TempDir(t)}
	c.oneSession(t) // the poller has opened its descriptors after this
	before := descriptors()

	c.install(false)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 150 {
				c.act()
			}
		})
	}
	testwait.Group(t, &all, "all that is done at once")
	require.Empty(t, c.strange)

	c.oneSession(t)
	goleak.VerifyNone(t, ignored)
	require.Equal(t, before, descriptors())
	require.Positive(t, c.sessions.Load(), "no session was whole")
}
