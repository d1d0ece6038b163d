// Package guard removes the socket of an open window when a signal arrives that may end
// the process, and lets the program have the signal. Where it can, it uses the trap, which
// does not interfere with the signal. For the other signals it subscribes to the signal and
// passes it on. It is told when the socket is made, and knows nothing else about windows.
package guard

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/trap"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Raise says when the guard raises a signal again that a subscription has received.
type Raise int

const (
	IfUnhandled Raise = iota // if the program is not subscribed to it
	Always
	Never
)

// Config is what a guard needs. Guards of later windows may share it.
type Config struct {
	Trap   *trap.Trap // nil: use subscriptions only
	Oracle *sigthread.Oracle
	Raise  Raise
	IsThis func() bool // reports whether the caller is still the process that opened the window
	Log    Log
}

// Log receives what the guard has to say.
type Log interface {
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
	Flush(time.Duration)
}

// FlushTime is how long a dying process waits for its own last log records. A stuck
// log must not keep the process alive.
const FlushTime = 100 * time.Millisecond

// Guard is the guard of one window.
type Guard struct {
	Config
	subscriptions []subscription
	armed         bool // Arm has succeeded

	closed chan struct{} // closed to end the goroutine that watches the subscriptions
	wg     sync.WaitGroup

	mu  sync.Mutex // guards got
	got []int      // indexes of the subscriptions that received a signal
}

// New prepares a guard against the signals. If the guard subscribes to some of them, it
// calls onSignal for the first one that arrives from now on. The call is made on a
// goroutine of the guard.
func New(c Config, sigs []syscall.Signal, onSignal func(syscall.Signal)) *Guard {
	g := &Guard{Config: c}
	if g.Trap != nil {
		sigs = g.Trap.Set(sigs)
	}
	if len(sigs) > 0 {
		g.subscribe(sigs, onSignal)
	}
	return g
}

// Arm is called before the socket is created at tmp. The socket is moved to path
// later.
func (g *Guard) Arm(pid int, path, tmp string) error {
	if g.Trap != nil && !g.Trap.Arm(pid, path, tmp) {
		return errors.New("the handler of an earlier signal has not returned; the file system of the path hangs")
	}
	g.armed = true
	return nil
}

// Hold is called before the socket is created. Unhold is called when the socket has
// been moved to its path or creating it has failed. A signal handler that runs in
// between waits, and then removes whatever exists. Hold returns false if a signal
// has already arrived.
func (g *Guard) Hold() bool { return g.Trap == nil || g.Trap.Hold() }

// Unhold ends what Hold has begun.
func (g *Guard) Unhold() {
	if g.Trap != nil {
		g.Trap.Unhold()
	}
}

// SetSocket is called after the socket has been created and before it is moved.
func (g *Guard) SetSocket(ln *unixsock.Listener) {
	if g.Trap != nil {
		g.Trap.Own(ln.ID, ln.FD)
	}
}

// Disarm is called after the socket has been removed and before its descriptor is
// closed. If it returns false, the descriptor must stay open: a hanging signal
// handler may still use it.
func (g *Guard) Disarm() bool { return g.Trap == nil || g.Trap.Disarm() }

// Fired returns the signal that triggered the trap and removed the socket, or 0 if
// there was none. Before Arm there is none: the trap still has that of an earlier window.
func (g *Guard) Fired() syscall.Signal {
	if g.Trap == nil || !g.armed {
		return 0
	}
	return g.Trap.Fired()
}

// Leave ends the guard after the window was shut, and handles every signal that a
// subscription received.
func (g *Guard) Leave() {
	if len(g.subscriptions) == 0 {
		return
	}
	g.unsubscribe()
	for _, i := range g.got {
		g.pass(g.subscriptions[i])
	}
}

// pass gives the program a signal as if the guard did not exist.
func (g *Guard) pass(s subscription) {
	raise := g.Raise == Always
	if g.Raise == IfUnhandled {
		now := s.atOpen
		if now == sigthread.None {
			now, _ = g.Oracle.Subscribers(s.sig)
		}
		raise = now == sigthread.None
		if now == sigthread.Unknown {
			g.Log.Warn("cannot tell whether the program handles the signal; if it does not, send the signal again",
				"signal", sigset.Name(s.sig))
		}
	}
	if !raise || !g.IsThis() {
		return
	}
	g.Log.Flush(FlushTime)
	// If nobody handles the signal, the runtime ends the process with it
	// (dieFromSignal).
	if err := sigset.Raise(s.sig); err != nil {
		g.Log.Error("could not raise the signal again", "signal", sigset.Name(s.sig), "err", err)
	}
}
