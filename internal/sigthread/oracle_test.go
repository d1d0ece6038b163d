//go:build linux

package sigthread

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

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func ask(o *Oracle) Subscriber {
	answer, _ := o.Subscribers(syscall.SIGTERM)
	return answer
}

// listen subscribes the process to signals until the returned function is called.
func listen(sigs ...syscall.Signal) (stop func()) {
	c := make(chan os.Signal, 1)
	all := make([]os.Signal, len(sigs))
	for i, sig := range sigs {
		all[i] = sig
	}
	signal.Notify(c, all...)
	return func() { signal.Stop(c) }
}

func TestTheProbeTellsWhoListens(t *testing.T) {
	thread := findSigThread()
	if thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	o := &Oracle{thread: thread}
	for range 50 {
		require.Equal(t, None, ask(o))
		c := listen(syscall.SIGTERM)
		require.Equal(t, Other, ask(o))
		c()
	}
	require.Equal(t, Unknown, ask(&Oracle{}), "without calibration")
	require.Equal(t, Unknown, ask(&Oracle{thread: sigThread{"/proc/self/task/0"}}))
}

// TestASubscriberThatStoppedAtTheSignalCounts has a program that calls Stop as soon
// as it receives the signal, during a probe.
func TestASubscriberThatStoppedAtTheSignalCounts(t *testing.T) {
	o := New()
	if o.thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	c := make(chan os.Signal, 1)
	defer signal.Stop(c)
	came := 0 // the rounds in which the signal arrived during the probe
	for round := 0; came < 4 && round < 5000; round++ {
		signal.Notify(c, syscall.SIGTERM)
		require.Equal(t, Other, ask(o))
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
			time.Sleep(time.Duration(round%20) * 100 * time.Microsecond) // the signal arrives during the probe
			_ = sigset.Raise(syscall.SIGTERM)
		})
		answer, swallowed := o.Subscribers(syscall.SIGTERM)
		program.Wait() // rounds do not overlap
		if swallowed {
			came++
			require.Equal(t, Other, answer, "after %d that were right", came-1)
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
		got, err := thread.Listens()
		stop()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(sigset.Of(sigs...)), fmt.Sprint(got))
	}
	_, err := sigThread{}.Listens()
	require.Error(t, err)
}

// TestTheMaskTellsTheSameWhileSignalsCome checks Listens while the thread handles
// signals. In a handler all signals are blocked.
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
			_ = unix.Tgkill(os.Getpid(), tid, syscall.SIGUSR1) // the thread exists
			runtime.Gosched()
		}
	})
	defer sender.Wait()
	defer over.Store(true)
	for range 5000 {
		got, err := thread.Listens()
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

// What is known of a signal that came during a probe decides whether somebody has
// received it, or whether it must be raised again.
func TestWhoHasHeardTheSignal(t *testing.T) {
	term := sigset.Of(syscall.SIGTERM)
	for _, test := range []struct {
		name               string
		handled, unhandled sigset.Set
		before             []Subscriber
		meanwhile          Subscriber
		want               bool
	}{
		{"a subscriber before", 0, 0, []Subscriber{Other, Other}, None, true},
		{"nobody before", 0, 0, []Subscriber{None, None}, Other, false},
		{"the first probe of all", 0, 0, nil, Other, true},
		{"there was one at the last command", term, 0, nil, None, true},
		{"there was nobody, and the CPU is busy", 0, term, nil, Other, false},
		{"the same, a few probes long", 0, term, []Subscriber{Other, Other, Other}, Other, false},
		{"there was nobody, now there is one", 0, term, []Subscriber{Other, Other, Other, Other}, Other, true},
		{"the CPU is busy for long", 0, term, []Subscriber{Other, Other, None, Other, Other}, Other, false},
	} {
		o := &Oracle{handled: test.handled, unhandled: test.unhandled}
		require.Equal(t, test.want, o.heard(syscall.SIGTERM, test.before, test.meanwhile), test.name)
	}
}
