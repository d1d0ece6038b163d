package guard

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/trap"
)

// subscription is the guard's subscription to one signal. We check twice whether the
// program handles the signal: when the window opens and after the signal arrived. The
// second check alone is not enough. A program may stop listening as soon as it has
// received the signal (NotifyContext's stop). We would then find no subscriber, raise
// the signal again, and kill the program in the middle of its graceful shutdown.
type subscription struct {
	sig    syscall.Signal
	found  uintptr // the handler before
	c      chan os.Signal
	atOpen sigthread.Subscriber
}

// subscribe subscribes to the signals, which are some of sigset.Terminating.
func (g *Guard) subscribe(sigs []syscall.Signal, onSignal func(syscall.Signal)) {
	cases := [len(sigset.Terminating)]chan os.Signal{}
	for i, sig := range sigs {
		c := make(chan os.Signal, 1)
		cases[i] = c
		found := trap.Handler(sig)
		atOpen := g.Oracle.Subscribe(c, sig, func() {
			trap.Keep(sig, found, func() { signal.Stop(c) })
			found = trap.Handler(sig)
		})
		g.subscriptions = append(g.subscriptions, subscription{sig, found, c, atOpen})
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

// unsubscribe ends the subscriptions. After that, no signal arrives.
func (g *Guard) unsubscribe() {
	for _, p := range g.subscriptions {
		trap.Keep(p.sig, p.found, func() { signal.Stop(p.c) })
	}
	close(g.closed)
	g.wg.Wait()
	for _, s := range g.subscriptions {
		select {
		case sig := <-s.c:
			g.note(sig)
		default:
		}
	}
}

// note records that a signal has arrived.
func (g *Guard) note(sig os.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, s := range g.subscriptions {
		if s.sig == sig {
			g.got = append(g.got, i)
		}
	}
}
