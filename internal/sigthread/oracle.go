// Package sigthread finds out whether the program is subscribed to a signal. To do
// so, it watches the thread on which the Go runtime receives signals. It knows
// nothing about windows.
package sigthread

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// Subscriber is the answer to the question whether anybody else in the process is
// notified of a signal.
type Subscriber int

const (
	Unknown Subscriber = iota // it cannot be found out
	None                      // nobody else is notified
	Other                     // somebody else is notified
)

// Oracle finds out which signals the program is subscribed to. Its methods may be
// called from any goroutine.
type Oracle struct {
	thread sigThread

	mu        sync.Mutex // held during a probe; guards what follows
	handled   sigset.Set // the signals that had another subscriber at the last probe
	unhandled sigset.Set // the signals that had none
}

// New finds the runtime's signal thread and returns an Oracle. If it does not find
// the thread, the Oracle answers Unknown.
func New() *Oracle { return &Oracle{thread: findSigThread()} }

// Listens returns the signals that the program is subscribed to. It cannot see all of
// them: those of sigset.NeverBlocked are left out.
func (o *Oracle) Listens() (sigset.Set, error) { return o.thread.Listens() }

// IsThread reports whether dir is the directory of the runtime's signal thread in
// /proc/self/task.
func (o *Oracle) IsThread(dir string) bool { return o.thread.isIn(dir) }

// Disposition returns a text that says what a terminating signal does to the program.
// The probe may swallow the signal. If nobody else has received it, Disposition raises
// it again.
func (o *Oracle) Disposition(sig syscall.Signal) string {
	if signal.Ignored(sig) {
		return "ignored"
	}
	answer, swallowed := o.Subscribers(sig)
	if swallowed && answer != Other {
		_ = sigset.Raise(sig) // now the signal has its usual effect
	}
	switch answer {
	case Other:
		return "the program handles it"
	case None:
		return "nobody handles it: the process dies of it"
	}
	return "unknown"
}

// MayHear reports whether the program may be subscribed to a signal that is not one of
// except. Like Disposition, it raises a signal again that a probe has swallowed.
func (o *Oracle) MayHear(except sigset.Set) bool {
	listens, err := o.Listens()
	if err != nil || listens&^except != 0 {
		return true
	}
	for _, sig := range hidden {
		if except.Has(sig) || signal.Ignored(sig) {
			continue
		}
		answer, swallowed := o.Subscribers(sig)
		if swallowed && answer != Other {
			_ = sigset.Raise(sig) // now the signal has its usual effect
		}
		if answer != None {
			return true
		}
	}
	return false
}

// Subscribe calls signal.Notify(c, sig) and returns whether anybody else was subscribed
// to sig before. It calls stop, which must call signal.Stop(c), and tries again until
// several probes agree: a signal that is handled on the runtime's thread, or a call of
// Notify or Stop elsewhere, moves the thread too. If sig arrives meanwhile, the answer is
// about the moment before: the program may have called Stop at once, as NotifyContext's
// stop does. c must be empty, with room for one signal. When Subscribe returns, c is
// subscribed, and contains a signal that has arrived.
func (o *Oracle) Subscribe(c chan os.Signal, sig syscall.Signal, stop func()) Subscriber {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.thread.NewProbe()
	defer p.Close()
	return o.agree(sig, func() (Subscriber, bool) {
		answer := p.subscribe(c, sig)
		return answer, len(c) > 0
	}, func() bool {
		stop()
		if len(c) == 0 {
			return false
		}
		signal.Notify(c, sig)
		return true
	})
}

// agree decides for Subscribe. probe subscribes and asks once; stop ends the subscription.
// Both report whether the signal has arrived. If it has, the subscription stays.
func (o *Oracle) agree(sig syscall.Signal, probe func() (answer Subscriber, came bool), stop func() (came bool)) Subscriber {
	var answers []Subscriber
	for {
		answer, came := probe()
		if answer == Unknown {
			return Unknown
		}
		if came {
			return o.guess(sig, answers, answer)
		}
		none := countNone(answers)
		switch {
		case answer == None && none+1 == MaxProbes:
			o.handled &^= sigset.Of(sig)
			o.unhandled |= sigset.Of(sig)
			return None
		case answer == Other && len(answers)-none+1 == MaxProbes:
			o.handled |= sigset.Of(sig)
			o.unhandled &^= sigset.Of(sig)
			return Other
		}
		// signal.Stop waits for signals that are being delivered. One of them may have moved
		// the thread, so it does not count as an answer from before.
		if stop() {
			return o.guess(sig, answers, answer)
		}
		answers = append(answers, answer)
	}
}

// guess is heard as a Subscriber.
func (o *Oracle) guess(sig syscall.Signal, before []Subscriber, meanwhile Subscriber) Subscriber {
	if o.heard(sig, before, meanwhile) {
		return Other
	}
	return None
}

// Subscribers finds out whether anybody else is subscribed to sig. The answer may
// lead the caller to end the process, and concurrent calls of Notify and Stop
// disturb the probe, so it is repeated. If swallowed is true, sig arrived while the
// Oracle was subscribed: only the other subscribers have received it, and the answer
// is about the moment before it arrived.
func (o *Oracle) Subscribers(sig syscall.Signal) (answer Subscriber, swallowed bool) {
	o.mu.Lock() // two calls at once would each see the other as a subscriber
	defer o.mu.Unlock()
	p := o.thread.NewProbe()
	defer p.Close()
	const asks = 2 * MaxProbes
	var answers [asks]Subscriber
	came := asks // the ask in which the signal arrived
	for i := range answers {
		answers[i] = p.ask(sig, 1)
		if answers[i] == Unknown {
			return Unknown, p.swallowed
		}
		if p.swallowed && came == asks {
			came = i
		}
	}
	none := countNone(answers[:])
	switch {
	case none >= asks/2:
		answer = None
	case none == 0:
		answer = Other
	}
	if !p.swallowed {
		switch none {
		case 0:
			o.handled |= sigset.Of(sig)
		case asks:
			o.handled &^= sigset.Of(sig)
		}
		switch answer {
		case Other:
			o.unhandled &^= sigset.Of(sig)
		case None:
			o.unhandled |= sigset.Of(sig)
		}
	} else if o.heard(sig, answers[:came], answers[came]) {
		answer = Other
	}
	return answer, p.swallowed
}

// heard reports whether another subscriber existed when the signal arrived. That
// subscriber may have called Stop since, as NotifyContext does, and must still not
// be killed in its graceful shutdown. The probe during which the signal arrived is
// not reliable, since the signal itself moves the thread: only "other" counts. Without
// an earlier probe, the last known answer decides.
//
// A probe may be wrong: on a busy machine the thread may not get a CPU in time, and it says
// "other" although there is nobody; or something else moves the thread, and it says "none".
// So a few answers do not count against what we knew when we last asked: the signal would be
// lost, or the program killed.
func (o *Oracle) heard(sig syscall.Signal, before []Subscriber, meanwhile Subscriber) bool {
	const few = 4
	if o.unhandled.Has(sig) {
		return len(before) >= few && countNone(before) == 0
	}
	if o.handled.Has(sig) {
		return len(before) < few || countNone(before) < len(before)
	}
	if len(before) > 0 {
		return 2*countNone(before) < len(before)
	}
	return meanwhile == Other
}

// countNone returns how many of the answers are None.
func countNone(answers []Subscriber) (none int) {
	for _, answer := range answers {
		if answer == None {
			none++
		}
	}
	return none
}
