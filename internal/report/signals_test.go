//go:build unix

package report

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// listener returns a reporter with a signal, and receives the signal as a program does.
func listener(t *testing.T, sig syscall.Signal) (*Reporter, *testwait.Buffer) {
	t.Helper()
	r, log := newReporter(t)
	r.Signal = sig
	r.Start()
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-r.Signals:
				r.Received()
			case <-over:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(over)
		testwait.Receive(t, done, "the end of the receiver")
	})
	return r, log
}

// state returns whether the signal is listened to, and how many requests were counted.
func (r *Reporter) state() (listens bool, skipped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.deaf, r.skipped
}

// TestManySignalsAreNotListenedTo until the next report is due. Then there is one.
func TestManySignalsAreNotListenedTo(t *testing.T) {
	if !isExecutable() {
		t.Skip("the build information of this test does not say that it is an executable")
	}
	r, log := listener(t, syscall.SIGUSR1)
	r.mu.Lock()
	r.interval = 3 * time.Second
	r.mu.Unlock()
	var listens bool
	testwait.Eventually(t, func() bool {
		require.NoError(t, sigset.Raise(syscall.SIGUSR1))
		listens, _ = r.state()
		return !listens
	}, "the signal is still listened to")
	_, before := r.state()
	require.GreaterOrEqual(t, before, many)
	for range 1000 {
		require.NoError(t, sigset.Raise(syscall.SIGUSR1))
	}
	_, after := r.state()
	require.LessOrEqual(t, after, before+1, "signals were received; one may have been on its way")
	testwait.Eventually(t, func() bool { return count(log, "goroutines in ") == 1 }, "no report: %s", log)

	testwait.Eventually(t, func() bool {
		require.NoError(t, sigset.Raise(syscall.SIGUSR1))
		return count(log, "goroutines in ") == 2
	}, "the signal is not listened to again: %s", log)
	require.Regexp(t, "at least 1[0-9] requests", log.String()) // some may have been on their way
}

// TestOtherSignalsAreAlwaysListenedTo: they could end the program.
func TestOtherSignalsAreAlwaysListenedTo(t *testing.T) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // for the last one, which may come after the test
	r, _ := listener(t, syscall.SIGHUP)
	testwait.Eventually(t, func() bool {
		require.NoError(t, sigset.Raise(syscall.SIGHUP))
		_, skipped := r.state()
		return skipped > 2*many
	}, "the signals were not received")
	listens, _ := r.state()
	require.True(t, listens)
}

// TestAProgramThatDoesNotEnd has a report, also right after another one.
func TestAProgramThatDoesNotEnd(t *testing.T) {
	r, log := newReporter(t)
	r.Ends(syscall.SIGTERM)
	require.False(t, r.ending, "there is no time")
	r.Shutdown = 50 * time.Millisecond
	r.Ends(syscall.SIGTERM)
	r.Ends(syscall.SIGINT) // has no effect
	testwait.Eventually(t, func() bool { return count(log, "goroutines in ") == 1 }, "no report: %s", log)
	require.Regexp(t, `text="SIGTERM came \d+m?s? ?.* ago, and the process is still there"`, log.String())
	require.Contains(t, log.String(), "by identical stacks")

	r.Ends(syscall.SIGINT)
	r.mu.Lock()
	r.interval = 500 * time.Millisecond // it is not over when the time of the shutdown is
	r.mu.Unlock()
	testwait.Eventually(t, func() bool { return count(log, "goroutines in ") == 2 }, "no second report: %s", log)
	require.Equal(t, 1, count(log, "SIGINT came "))
}

// TestStopEndsTheTimeOfAShutdown, so that an orderly end leaves nothing.
func TestStopEndsTheTimeOfAShutdown(t *testing.T) {
	r, log := newReporter(t)
	r.Shutdown = time.Hour
	r.Ends(syscall.SIGTERM)
	r.Stop()
	testwait.Group(t, &r.work, "the end of the time")
	require.Empty(t, log.String())
}
