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

// TerminatePolicy says what follows when SIGTERM, SIGINT or SIGHUP comes while
// a window is open. The socket is removed in any case.
type TerminatePolicy int

const (
	// TerminateAuto does what would have been done without the manhole: the
	// program gets the signal if it is notified of it, and dies of it if not.
	//
	// On Linux on amd64 and arm64 nothing stands between the signal and the
	// program. Elsewhere, and where Go is a library in another program, the
	// package is notified of the signal itself, which keeps it from its default
	// action, and raises it again if nobody else is notified. Where it cannot
	// know that (anywhere but on Linux, or without /proc) the signal is left, a
	// warning is logged, and a second one ends the program.
	TerminateAuto TerminatePolicy = iota
	// TerminateReraise always raises the signal again. A program that handles
	// the signal gets it twice.
	TerminateReraise
	// TerminateLeave never does. A program that does not handle the signal
	// survives the first one.
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

// guard sees to it that the socket of an open window goes when a terminating
// signal comes. Where it can it sets a trap, which does not interfere with the
// signal; else it is notified of the signal and passes it on.
type guard struct {
	m     *Manhole
	trap  *trap.Trap // nil: posts are used
	posts []post

	closed chan struct{} // ends the watcher of the posts
	wg     sync.WaitGroup

	mu  sync.Mutex // guards got
	got []int      // posts that had a signal, by index
}

// post is the guard for one signal. Whether the program handles the signal is
// asked twice, when the window opens and when the signal has come: asking only
// then would find nobody where a program stops listening as soon as it has the
// signal (NotifyContext's stop), and raising it again would kill that program
// in the middle of its graceful shutdown.
type post struct {
	sig    syscall.Signal
	c      chan os.Signal
	atOpen sigthread.Subscriber
}

// newGuard prepares the guard of one window. With posts, onSignal is called for
// the first signal that comes, on a goroutine of the guard, from now on.
func (m *Manhole) newGuard(onSignal func(syscall.Signal)) *guard {
	g := &guard{m: m, trap: m.trap}
	if g.trap == nil {
		g.post(m.endSignals(), onSignal)
	}
	return g
}

// setTrap sets the trap where there is one and the policy does not want more.
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

// endSignals are those that a guard posts for. To be notified of an ignored
// signal (nohup, a background job of a shell script) would end its being ignored.
func (m *Manhole) endSignals() []syscall.Signal {
	var sigs []syscall.Signal
	for _, sig := range sigset.Terminating {
		if !m.isOwn(sig) && !signal.Ignored(sig) {
			sigs = append(sigs, sig)
		}
	}
	return sigs
}

// post is notified of the signals.
func (g *guard) post(sigs []syscall.Signal, onSignal func(syscall.Signal)) {
	p := g.m.oracle.NewProbe()
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

// arm is called before the socket is made at tmp, to be moved to path.
func (g *guard) arm(pid int, path, tmp string) error {
	if g.trap != nil && !g.trap.Arm(pid, path, tmp) {
		return errors.New("the handler of an earlier signal has not returned; the file system of the path hangs")
	}
	return nil
}

// hold is called before the socket is made, and unhold when it has its path or
// that has failed: a handler that runs meanwhile waits, and removes what there is
// then. hold reports false if a signal has come already.
func (g *guard) hold() bool { return g.trap == nil || g.trap.Hold() }

func (g *guard) unhold() {
	if g.trap != nil {
		g.trap.Unhold()
	}
}

// own is called once the socket has been made, before it is moved.
func (g *guard) own(id unixsock.ID, ln *unixsock.Listener) {
	if g.trap != nil {
		g.trap.Own(id, ln.FD)
	}
}

// disarm is called once the socket is gone, before its descriptor is closed. If
// it returns false the descriptor must stay open, since a signal handler that
// hangs may still use it.
func (g *guard) disarm() bool { return g.trap == nil || g.trap.Disarm() }

// fired is the signal that has sprung the trap and removed the socket, 0 if
// none has.
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

// leave ends the guard, after the window was shut, and deals with every signal
// that came to a post.
func (g *guard) leave() {
	if g.trap != nil {
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

// pass lets the program have a signal as if the guard had not been there.
func (g *guard) pass(p post) {
	m := g.m
	raise := m.opts.Terminate == TerminateReraise
	if m.opts.Terminate == TerminateAuto {
		now := p.atOpen
		if now == sigthread.None {
			now, _ = m.oracle.Subscribers(p.sig)
		}
		raise = now == sigthread.None
		if now == sigthread.Unknown {
			m.log.Warn("cannot tell whether the program handles the signal; if it does not, send the signal again",
				"signal", sigset.Name(p.sig))
		}
	}
	if !raise || !m.home.Load().proc.isThis() {
		return
	}
	m.log.Flush(flushTime)
	// Unhandled, the runtime lets the process die of it (dieFromSignal).
	if err := sigset.Raise(p.sig); err != nil {
		m.log.Error("could not raise the signal again", "signal", sigset.Name(p.sig), "err", err)
	}
}

// flushTime is how long a dying process waits for its own last log lines. A
// log that is stuck must not keep it alive.
const flushTime = 100 * time.Millisecond

// whoHas returns who gets a terminating signal. The masks do not show that.
func (m *Manhole) whoHas(sig syscall.Signal) string {
	m.mu.Lock()
	open := m.win != nil
	m.mu.Unlock()
	if open && !signal.Ignored(sig) {
		return "the manhole has it while its window is open"
	}
	return m.oracle.Disposition(sig)
}
