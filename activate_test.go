//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func (m testManhole) isActive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active != nil
}

// TestASignalActivates connects one client after another. Each has a socket of its own.
func TestASignalActivates(t *testing.T) {
	m := install(t, Options{ActivateOn: syscall.SIGUSR1, OneshotOn: syscall.SIGUSR2})
	kill(t, syscall.SIGUSR1)
	for range 5 {
		c := connect(t, m.Path())
		c.expect(protocol.Prompt)
		requireGone(t, m.Path()) // one client at a time
		c.send("exit\n")
		require.Empty(t, c.rest())
	}
	c := connect(t, m.Path())
	c.expect(protocol.Prompt)
	kill(t, syscall.SIGUSR2) // it still opens another window
	other := connect(t, m.Path())
	other.leave()
	require.Contains(t, c.do("deactivate"), "deactivated")
	require.Contains(t, c.do("deactivate"), "not active")
	require.False(t, m.isActive())
	c.send("exit\n")
	require.Empty(t, c.rest())
	requireGone(t, m.Path())
	require.NoError(t, m.Uninstall())
	require.Contains(t, m.log.String(), "reason=deactivated")
}

func TestAnActivatedManholeEndsWhenIdle(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	m := install(t, Options{IdleTimeout: 50 * time.Millisecond, ConnectTimeout: time.Hour})
	require.NoError(t, m.Activate())
	require.NoError(t, m.Activate(), "it is active already")
	eventually(t, func() bool { return !m.isActive() }, "it stays active")
	requireGone(t, m.Path())
	require.NoError(t, m.Uninstall())
	require.Contains(t, m.log.String(), "nobody came within the timeout")
	goleak.VerifyNone(t, ignored)
}

func TestDeactivateClosesTheWindowAndLeavesTheSession(t *testing.T) {
	m := install(t, Options{})
	m.Deactivate() // it is not active
	require.NoError(t, m.Activate())
	c := connect(t, m.Path())
	c.expect(protocol.Prompt)
	m.Deactivate()
	require.Contains(t, c.do("history"), "history")
	c.send("exit\n")
	require.Empty(t, c.rest())

	require.NoError(t, m.Activate())
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no socket")
	m.Deactivate()
	requireGone(t, m.Path())
}

func TestUninstallDeactivates(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	m := install(t, Options{})
	require.NoError(t, m.Activate())
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no socket")
	require.NoError(t, m.Uninstall())
	requireGone(t, m.Path())
	require.ErrorIs(t, m.Activate(), ErrNotInstalled)
	goleak.VerifyNone(t, ignored)
}

func TestActivationJoinsAnOpenWindow(t *testing.T) {
	m := install(t, Options{ConnectTimeout: time.Hour, IdleTimeout: 200 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- m.Oneshot(context.Background()) }()
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no socket")
	require.NoError(t, m.Activate())
	require.ErrorIs(t, testwait.Receive(t, done, "Oneshot to return"), os.ErrDeadlineExceeded, "the idle timeout is the window's now")
	eventually(t, func() bool { return !m.isActive() }, "it stays active")
}

func TestOneshotOnAndActivateOnMustDiffer(t *testing.T) {
	_, err := Install(Options{OneshotOn: syscall.SIGUSR2, ActivateOn: syscall.SIGUSR2})
	require.ErrorIs(t, err, ErrConfigurationConflict)
	_, err = Install(Options{ActivateOn: syscall.SIGUSR1, ReportOn: syscall.SIGUSR1})
	require.ErrorContains(t, err, "ReportOn and ActivateOn are the same signal, SIGUSR1")
	_, err = Install(Options{ReportOn: syscall.SIGKILL})
	require.ErrorContains(t, err, "ReportOn cannot be SIGKILL")
	require.ErrorContains(t, err, "SIGUSR2")
	require.Nil(t, Installed())
	_, err = Install(Options{ActivateOn: syscall.SIGKILL})
	require.ErrorContains(t, err, "ActivateOn cannot be SIGKILL")
}

func TestActivationThroughWaitAndHandle(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, ActivateOn: syscall.SIGUSR1, NoReceiver: true})
	require.Equal(t, []os.Signal{syscall.SIGUSR2, syscall.SIGUSR1}, m.Signals())
	ctx, cancel := context.WithCancel(context.Background())
	waited := make(chan error, 1)
	go func() { _, err := m.Wait(ctx); waited <- err }()
	kill(t, syscall.SIGUSR1)
	connect(t, m.Path()).leave()
	connect(t, m.Path()).leave()
	m.Deactivate()
	cancel()
	require.ErrorIs(t, testwait.Receive(t, waited, "Wait to return"), context.Canceled)

	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	defer signal.Stop(c)
	kill(t, syscall.SIGUSR1)
	require.True(t, m.Handle(testwait.Receive(t, c, "a signal")))
	connect(t, m.Path()).leave()
	connect(t, m.Path()).leave()
}

func TestDrainWaitsForSessions(t *testing.T) {
	m := install(t, Options{})
	require.NoError(t, m.Drain(inTime(t)), "nobody is inside")
	c := m.enter(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, m.Drain(ctx), context.DeadlineExceeded)
	drained := make(chan error, 1)
	go func() { drained <- m.Drain(context.Background()) }()
	require.NoError(t, m.Uninstall())
	require.Contains(t, c.do("history"), "history", "the session goes on")
	c.send("exit\n")
	require.Empty(t, c.rest())
	require.NoError(t, testwait.Receive(t, drained, "Drain to return"))
	require.Zero(t, m.sessionCount())
}

// Uninstall must not wait for the session that called it.
func TestUninstallFromASessionsOwnCommand(t *testing.T) {
	m := install(t, Options{Commands: []Command{{Name: "leave", Run: func(context.Context, *Session, []string) error {
		return Installed().Uninstall()
	}}}})
	c := m.enter(t)
	require.Empty(t, c.do("leave"))
	require.Contains(t, c.do("history"), "leave")
	require.Nil(t, Installed())
}

// TestConcurrentActivations activates and deactivates from several goroutines. Nothing
// may be left in the end.
func TestConcurrentActivations(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, ActivateOn: syscall.SIGUSR1})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 30 {
				_ = m.Activate()
				_ = sigset.Raise(syscall.SIGUSR1)
				_ = sigset.Raise(syscall.SIGUSR2)
				m.Deactivate()
			}
		})
	}
	testwait.Group(t, &all, "all who activate and deactivate")
	require.NoError(t, m.Uninstall())
	requireGone(t, m.Path())
	goleak.VerifyNone(t, ignored)
}

// A program continues with a nil Manhole if Install has failed.
func TestANilManholeDoesNothing(t *testing.T) {
	_, err := Install(Options{OneshotOn: syscall.SIGKILL})
	require.Error(t, err)
	m := Installed()
	require.Nil(t, m)
	require.Empty(t, m.Path())
	require.Nil(t, m.Signals())
	require.False(t, m.Handle(syscall.SIGUSR2))
	require.False(t, m.Handle(syscall.SIGTERM))
	require.False(t, m.Handle(nil))
	require.ErrorIs(t, m.Oneshot(t.Context()), ErrNotInstalled)
	require.ErrorIs(t, m.Activate(), ErrNotInstalled)
	m.Deactivate()
	require.NoError(t, m.Drain(t.Context()))
	require.ErrorIs(t, m.Uninstall(), ErrNotInstalled)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Wait(over, syscall.SIGUSR1)
	require.ErrorIs(t, err, context.Canceled)
	type result struct {
		sig os.Signal
		err error
	}
	results := make(chan result, 1)
	go func() {
		sig, err := m.Wait(inTime(t), syscall.SIGWINCH) // without a handler it does nothing
		results <- result{sig, err}
	}()
	eventually(t, func() bool { kill(t, syscall.SIGWINCH); return len(results) > 0 }, "Wait does not return")
	require.Equal(t, result{syscall.SIGWINCH, nil}, <-results)
}

// The next window was requested while another was being shut.
func TestUninstallWaitsForTheNextWindow(t *testing.T) {
	m := install(t, Options{})
	w, mine, err := m.open()
	require.NoError(t, err)
	require.True(t, mine)
	at := *m.instance.Load()
	at.wait(time.Hour)
	next := newWindow(&m.host, &at, time.Hour, m.newGuard)
	begun, going := make(chan struct{}), make(chan struct{})
	next.startNextReceiver = func() { close(begun); <-going } // called when it begins to wait
	m.mu.Lock()
	w.next = next
	m.mu.Unlock()
	uninstalled := make(chan error, 1)
	go func() { uninstalled <- m.Uninstall() }()
	testwait.Receive(t, begun, "the next window")
	select {
	case <-uninstalled:
		t.Error("Uninstall has returned before the next window ended")
	case <-time.After(50 * time.Millisecond): // the time is the subject
	}
	close(going)
	require.NoError(t, testwait.Receive(t, uninstalled, "Uninstall to return"))
	require.True(t, closed(w.done) && closed(next.done))
	require.ErrorIs(t, next.why(), ErrNotInstalled)
}

// The refused client must have time to read the reason.
func TestUninstallWaitsForRefusedClients(t *testing.T) {
	enter, letIn := testwait.Gate(t)
	m := install(t, Options{Authorize: func(Cred) error { <-enter; return nil }})
	_, _, err := m.open()
	require.NoError(t, err)
	first, second := connect(t, m.Path()), connect(t, m.Path())
	require.NoError(t, m.Uninstall())
	letIn()
	require.Zero(t, m.dismissals.Wait())
	for _, c := range []client{first, second} {
		require.Contains(t, c.rest(), "uninstalled")
	}
}

// TestASignalThatComesLateToTheStandIn: the runtime sends a signal to the program's loop
// first, and its window may be over when the stand-in gets the same signal.
func TestASignalThatComesLateToTheStandIn(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
	for n := range 2 { // before the stand-in, and beside it
		require.True(t, m.Handle(syscall.SIGUSR2))
		connect(t, m.Path()).leave()
		if n == 0 { // it may have been in the queue for long
			m.mu.Lock()
			m.standIn.handled[syscall.SIGUSR2] = twin{time.Time{}, m.signals}
			m.mu.Unlock()
		}
		m.signals <- syscall.SIGUSR2
		require.False(t, m.Handle(syscall.SIGTERM)) // the stand-in begins
		testwait.Eventually(t, func() bool { return len(m.signals) == 0 }, "the signal is received")
		require.Never(t, func() bool {
			_, err := os.Lstat(m.Path())
			return err == nil
		}, 50*time.Millisecond, time.Millisecond, "a second window")
	}

	m.signals <- syscall.SIGUSR2 // another signal, which the loop does not get
	connect(t, m.Path()).leave()
	require.True(t, m.Handle(syscall.SIGUSR2), "it gets it now")
	require.NoFileExists(t, m.Path())
}
