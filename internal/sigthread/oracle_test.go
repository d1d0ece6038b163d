//go:build linux

package sigthread

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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

func TestTheProbeFindsSubscribers(t *testing.T) {
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

// TestASubscriberThatStoppedDuringSubscribe has the same program, and a signal during
// Subscribe. It has stopped for several signals, each of which moves the thread.
func TestASubscriberThatStoppedDuringSubscribe(t *testing.T) {
	o := New()
	if o.thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	came := 0 // the rounds in which the signal arrived during Subscribe
	for round := 0; came < 10 && round < 5000; round++ {
		program, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		require.Equal(t, Other, ask(o))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			<-program.Done()
			stop()
		}()
		raised := make(chan error, 1)
		go func() {
			time.Sleep(time.Duration(round%20) * 100 * time.Microsecond) // the signal arrives during Subscribe
			raised <- sigset.Raise(syscall.SIGTERM)
		}()
		c := make(chan os.Signal, 1)
		answer := o.Subscribe(c, syscall.SIGTERM, func() { signal.Stop(c) })
		during := len(c) > 0
		require.NoError(t, testwait.Receive(t, raised, "SIGTERM to be raised"))
		testwait.Receive(t, ended, "the program to stop") // rounds do not overlap
		signal.Stop(c)
		if during {
			came++
			require.Equal(t, Other, answer, "after %d that were right", came-1)
		}
	}
	require.Positive(t, came)
}

// TestSubscribeAsksUntilProbesAgree has each answer of a probe in order: n is nobody, o is
// another. After N and O, the signal has arrived when the probe ends; after ! when Stop has
// returned.
func TestSubscribeAsksUntilProbesAgree(t *testing.T) {
	for _, test := range []struct {
		probes string
		want   Subscriber
	}{
		{"nnn", None},
		{"ooo", Other},
		{"nooo", Other}, // something else had moved the thread
		{"onoo", Other},
		{"nonon", None},
		{"O", Other},
		{"N", None},
		{"oN", Other}, // the program has stopped since
		{"nO", None},
		{"o!", Other},
		{"n!", None},
		{"on!", Other},
		{"no!", None},
		{"oonN", Other},
	} {
		rest := test.probes
		o := &Oracle{}
		probe := func() (Subscriber, bool) {
			require.NotEmpty(t, rest, test.probes)
			answer := rest[0]
			rest = rest[1:]
			return map[byte]Subscriber{'n': None, 'N': None, 'o': Other, 'O': Other}[answer], answer < 'a'
		}
		stop := func() bool {
			came := strings.HasPrefix(rest, "!")
			rest = strings.TrimPrefix(rest, "!")
			return came
		}
		require.Equal(t, test.want, o.agree(syscall.SIGTERM, probe, stop), test.probes)
		require.Empty(t, rest, test.probes)
	}
}

// TestAFewAnswersDoNotCount against what was known before the signal arrived.
func TestAFewAnswersDoNotCount(t *testing.T) {
	term := sigset.Of(syscall.SIGTERM)
	for _, test := range []struct {
		handled, unhandled sigset.Set
		before             []Subscriber
		meanwhile          Subscriber
		want               bool
	}{
		{0, 0, nil, None, false},
		{0, 0, nil, Other, true},
		{0, 0, []Subscriber{None}, Other, false},
		{0, 0, []Subscriber{Other}, None, true},
		{term, 0, nil, None, true},
		{term, 0, []Subscriber{None}, None, true}, // something else has moved the thread
		{term, 0, []Subscriber{None, None, None}, None, true},
		{term, 0, []Subscriber{None, None, None, None}, None, false}, // it has stopped long ago
		{term, 0, []Subscriber{None, None, None, Other}, None, true},
		{0, term, nil, Other, false},
		{0, term, []Subscriber{Other}, Other, false}, // the thread had no CPU
		{0, term, []Subscriber{Other, Other, Other, Other}, Other, true},
		{0, term, []Subscriber{Other, Other, Other, None}, Other, false},
	} {
		o := &Oracle{handled: test.handled, unhandled: test.unhandled}
		require.Equal(t, test.want, o.heard(syscall.SIGTERM, test.before, test.meanwhile), "%+v", test)
	}
}

// TestSubscribe has programs whose signal does not arrive.
func TestSubscribe(t *testing.T) {
	o := New()
	if o.thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	subscribe := func(o *Oracle) Subscriber {
		c := make(chan os.Signal, 1)
		defer signal.Stop(c)
		answer := o.Subscribe(c, syscall.SIGTERM, func() { signal.Stop(c) })
		require.NoError(t, sigset.Raise(syscall.SIGTERM)) // it would end the test
		testwait.Receive(t, c, "the signal")
		return answer
	}
	for range 20 {
		require.Equal(t, None, subscribe(o))
		stop := listen(syscall.SIGTERM)
		require.Equal(t, Other, subscribe(o))
		stop()
	}
	require.Equal(t, Unknown, subscribe(&Oracle{}))
}

func TestTheMaskShowsTheSubscriptions(t *testing.T) {
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

// TestTheMaskIsRightWhileSignalsArrive checks Listens while the thread handles
// signals. In a handler all signals are blocked.
func TestTheMaskIsRightWhileSignalsArrive(t *testing.T) {
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

// TestWhoMayHear: a program in which nobody listens can be woken by no signal.
func TestWhoMayHear(t *testing.T) {
	o := New()
	if o.thread.dir == "" {
		t.Skip("the runtime's signal thread cannot be watched here (no /proc or no schedstat)")
	}
	nobody := func(except ...syscall.Signal) {
		t.Helper()
		// On a busy machine an answer may be "unknown".
		testwait.Eventually(t, func() bool { return !o.MayHear(sigset.Of(except...)) }, "somebody listens")
	}
	nobody()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGCHLD, syscall.SIGABRT} {
		stop := listen(sig)
		for range 20 {
			require.True(t, o.MayHear(0), "%v", sig)
		}
		nobody(sig)
		stop()
		nobody()
	}
	require.True(t, (&Oracle{}).MayHear(0), "it is not known")
}

func TestTheProbeFindsTheThreadForAnySubscription(t *testing.T) {
	stop := listen(firstProbeSignal, firstProbeSignal-1)
	defer stop()
	require.NotEmpty(t, findSigThread().dir)
}

func TestTheProbeIsUnknownIfEverySignalHasASubscriber(t *testing.T) {
	stop := listen() // every signal
	defer stop()
	require.Empty(t, findSigThread().dir)
}

// If a signal arrives during a probe, Heard decides whether another subscriber has received
// it, or whether it must be raised again.
func TestHeardDuringAProbe(t *testing.T) {
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
