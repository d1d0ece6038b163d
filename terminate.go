package oneshot

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// TerminatePolicy says what follows when SIGTERM, SIGINT or SIGHUP comes while
// a window is open. The socket is removed in any case; for that the package has
// to be notified of the signal, which keeps it from its default action.
type TerminatePolicy int

const (
	// TerminateAuto leaves the signal to the program if that is notified of
	// it too. If not, the signal is raised again with its default action, so
	// that the process dies of it with the wait status of that signal. Where
	// it cannot be known (anywhere but on Linux, or without /proc) the signal
	// is left, a warning is logged, and a second one ends the program.
	TerminateAuto TerminatePolicy = iota
	// TerminateReraise always raises the signal again. A program that handles
	// the signal gets it twice.
	TerminateReraise
	// TerminateLeave never does. A program that does not handle the signal
	// survives the first one.
	TerminateLeave
)

// terminating are the signals that end a program that does not handle them and
// that are meant to; SIGQUIT is left alone, as it is for a look at the stacks.
var terminating = [...]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

func isTerminating(sig os.Signal) bool {
	for _, t := range terminating {
		if sig == t {
			return true
		}
	}
	return false
}

// subscriber says who else in the process is notified of a signal.
type subscriber int

const (
	subscriberUnknown subscriber = iota
	subscriberNone
	subscriberOther
)

// guard is notified of the terminating signals while a window is open.
type guard struct {
	m      *Manhole
	posts  []post
	closed chan struct{} // ends the watcher
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
	atOpen subscriber
}

// newGuard takes its posts; onSignal is called, on a goroutine of the guard,
// with the first signal that comes.
func (m *Manhole) newGuard(onSignal func(syscall.Signal)) *guard {
	g := &guard{m: m, closed: make(chan struct{})}
	p := m.sigThread.newProbe()
	defer p.close()
	cases := [len(terminating)]chan os.Signal{}
	for i, sig := range terminating {
		// To be notified of an ignored signal (nohup, a background job of a
		// shell script) would end its being ignored.
		if sig == m.opts.OneshotOn || signal.Ignored(sig) {
			continue
		}
		c := make(chan os.Signal, 1)
		cases[i] = c
		g.posts = append(g.posts, post{sig, c, p.subscribe(c, sig, maxProbes)})
	}
	g.wg.Go(func() {
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
	return g
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

// leave gives up the posts, after the window was shut, and then deals with
// every signal that came to one.
func (g *guard) leave() {
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
		if now == subscriberNone {
			now = m.subscribers(p.sig)
		}
		raise = now == subscriberNone
		if now == subscriberUnknown {
			m.log.warn("cannot tell whether the program handles the signal; if it does not, send the signal again",
				"signal", nameOf(p.sig))
		}
	}
	if !raise || !m.proc.isThis() {
		return
	}
	m.log.flush(flushTime)
	// Unhandled, the runtime lets the process die of it (dieFromSignal).
	if err := raiseSignal(p.sig); err != nil {
		m.log.error("could not raise the signal again", "signal", nameOf(p.sig), "err", err)
	}
}

// flushTime is how long a dying process waits for its own last log lines. A
// log that is stuck must not keep it alive.
const flushTime = 100 * time.Millisecond

// subscribers asks carefully who is notified of sig, since the answer may be
// followed by the end of the process: other goroutines that call Notify or
// Stop at this moment move the runtime's thread as well. A signal that comes
// meanwhile is the one asked about, or its second.
func (m *Manhole) subscribers(sig syscall.Signal) subscriber {
	p := m.sigThread.newProbe()
	defer p.close()
	none := 0
	const asks = 2 * maxProbes
	for range asks {
		switch p.ask(sig, 1) {
		case subscriberUnknown:
			return subscriberUnknown
		case subscriberNone:
			none++
		}
	}
	switch {
	case none >= asks/2:
		return subscriberNone
	case none == 0:
		return subscriberOther
	}
	return subscriberUnknown
}
