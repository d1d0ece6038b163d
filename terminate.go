package oneshot

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/sigthread"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/trap"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// TerminatePolicy says what happens when SIGTERM, SIGINT or SIGHUP arrives while a
// window is open. The socket is removed in every case.
type TerminatePolicy int

const (
	// TerminateAuto behaves as if there were no manhole: if the program is
	// subscribed to the signal, it receives the signal; if it is not, it dies of
	// it.
	//
	// On Linux on amd64 and arm64 the package does not change how the signal
	// reaches the program. On other systems, and where Go is a library in another
	// program, the package itself subscribes to the signal. That disables the
	// default action, so the package raises the signal again if it has no other
	// subscriber. Where the package cannot find that out (on any system but Linux,
	// or without /proc), it does not raise the signal. It logs a warning, and a
	// second signal ends the program.
	TerminateAuto TerminatePolicy = iota
	// TerminateReraise always raises the signal again. A program that handles the
	// signal receives it twice.
	TerminateReraise
	// TerminateLeave never raises the signal again. A program that does not handle
	// the signal survives the first one.
	TerminateLeave
)

func isTerminating(sig os.Signal) bool {
	for _, t := range sigset.Terminating {
		if sig == t {
			return true
		}
	}
	return false
}

// guard removes the socket of an open window when a terminating signal arrives.
// Where possible it sets a trap, which does not interfere with the signal.
// Otherwise it subscribes to the signal and passes it on to the program.
type guard struct {
	host  *host
	proc  identity   // the process that opened the window
	trap  *trap.Trap // nil: use posts
	posts []post

	closed chan struct{} // closed to end the goroutine that watches the posts
	wg     sync.WaitGroup

	mu  sync.Mutex // guards got
	got []int      // indexes of the posts that received a signal
}

// post guards against one signal. We check twice whether the program handles the
// signal: when the window opens and after the signal arrived. The second check
// alone is not enough. A program may stop listening as soon as it has received the
// signal (NotifyContext's stop). We would then find no subscriber, raise the signal
// again, and kill the program in the middle of its graceful shutdown.
type post struct {
	sig    syscall.Signal
	c      chan os.Signal
	atOpen sigthread.Subscriber
}

// newGuard prepares the guard of one window. If the guard uses posts, it calls
// onSignal for the first signal that arrives from now on. The call is made on a
// goroutine of the guard.
func (m *Manhole) newGuard(onSignal func(syscall.Signal)) *guard {
	g := &guard{host: &m.host, proc: m.home.Load().proc, trap: m.trap}
	if sigs := m.endSignals(); g.trap == nil && len(sigs) > 0 {
		g.post(sigs, onSignal)
	}
	return g
}

// setTrap sets the trap on systems that support it, if the policy is TerminateAuto.
func (m *Manhole) setTrap() {
	if m.opts.Terminate == TerminateAuto {
		var sigs []syscall.Signal
		for _, sig := range sigset.Terminating {
			if !m.isOwn(sig) {
				sigs = append(sigs, sig)
			}
		}
		m.trap = trap.New(sigs)
	}
}

// endSignals returns the signals for which a guard needs posts. It leaves out
// ignored signals (nohup, a background job of a shell script): subscribing to one
// would stop it from being ignored.
func (m *Manhole) endSignals() []syscall.Signal {
	var sigs []syscall.Signal
	for _, sig := range sigset.Terminating {
		if !m.isOwn(sig) && !signal.Ignored(sig) {
			sigs = append(sigs, sig)
		}
	}
	return sigs
}

// post subscribes to the signals.
func (g *guard) post(sigs []syscall.Signal, onSignal func(syscall.Signal)) {
	p := g.host.oracle.NewProbe()
	defer p.Close()
	cases := [len(sigset.Terminating)]chan os.Signal{}
	for i, sig := range sigs {
		c := make(chan os.Signal, 1)
		cases[i] = c
		g.posts = append(g.posts, post{sig, c, p.Subscribe(c, sig, sigthread.MaxProbes)})
	}
	g.closed = make(chan struct{})
	g.wg.Add(1)
	ours.Go(func() {
		defer g.wg.Done()
		var sig os.Signal
		select {
		case sig = <-cases[0]:
		case sig = <-cases[1]:
		case sig = <-cases[2]:
		case <-g.closed:
			return
		}
		g.note(sig)
		onSignal(sig.(syscall.Signal))
	})
}

// arm is called before the socket is created at tmp. The socket is moved to path
// later.
func (g *guard) arm(pid int, path, tmp string) error {
	if g.trap != nil && !g.trap.Arm(pid, path, tmp) {
		return errors.New("the handler of an earlier signal has not returned; the file system of the path hangs")
	}
	return nil
}

// hold is called before the socket is created. unhold is called when the socket has
// been moved to its path or creating it has failed. A signal handler that runs in
// between waits, and then removes whatever exists. hold returns false if a signal
// has already arrived.
func (g *guard) hold() bool { return g.trap == nil || g.trap.Hold() }

func (g *guard) unhold() {
	if g.trap != nil {
		g.trap.Unhold()
	}
}

// own is called after the socket has been created and before it is moved.
func (g *guard) own(id unixsock.ID, ln *unixsock.Listener) {
	if g.trap != nil {
		g.trap.Own(id, ln.FD)
	}
}

// disarm is called after the socket has been removed and before its descriptor is
// closed. If it returns false, the descriptor must stay open: a hanging signal
// handler may still use it.
func (g *guard) disarm() bool { return g.trap == nil || g.trap.Disarm() }

// fired returns the signal that triggered the trap and removed the socket, or 0 if
// there was none.
func (g *guard) fired() syscall.Signal {
	if g.trap == nil {
		return 0
	}
	return g.trap.Fired()
}

func (g *guard) note(sig os.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, p := range g.posts {
		if p.sig == sig {
			g.got = append(g.got, i)
		}
	}
}

// leave ends the guard after the window was shut, and handles every signal that a
// post received.
func (g *guard) leave() {
	if len(g.posts) == 0 {
		return
	}
	for _, p := range g.posts {
		signal.Stop(p.c)
	}
	close(g.closed)
	g.wg.Wait()
	for _, p := range g.posts {
		select {
		case sig := <-p.c:
			g.note(sig)
		default:
		}
	}
	for _, i := range g.got {
		g.pass(g.posts[i])
	}
}

// pass gives the program a signal as if the guard did not exist.
func (g *guard) pass(p post) {
	h := g.host
	raise := h.opts.Terminate == TerminateReraise
	if h.opts.Terminate == TerminateAuto {
		now := p.atOpen
		if now == sigthread.None {
			now, _ = h.oracle.Subscribers(p.sig)
		}
		raise = now == sigthread.None
		if now == sigthread.Unknown {
			h.log.Warn("cannot tell whether the program handles the signal; if it does not, send the signal again",
				"signal", sigset.Name(p.sig))
		}
	}
	if !raise || !g.proc.isThis() {
		return
	}
	h.log.Flush(flushTime)
	// If nobody handles the signal, the runtime ends the process with it
	// (dieFromSignal).
	if err := sigset.Raise(p.sig); err != nil {
		h.log.Error("could not raise the signal again", "signal", sigset.Name(p.sig), "err", err)
	}
}

// flushTime is how long a dying process waits for its own last log records. A stuck
// log must not keep the process alive.
const flushTime = 100 * time.Millisecond

// whoHas describes what receives a terminating signal. The signal masks in /proc do
// not show that.
func (m *Manhole) whoHas(sig syscall.Signal) string {
	if m.window() != nil && !signal.Ignored(sig) {
		return "the manhole has it while its window is open"
	}
	return m.oracle.Disposition(sig)
}
