package oneshot

import (
	"context"
	"os"
	"os/signal"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/trigger"
)

// How the signal is waited for: by the receiver, by Handle, or by Wait.

func (m *Manhole) startReceiver() {
	m.receiver.Add(1)
	ours.Go(m.receive)
}

// receive is the receiver: it waits for the signal where the program does not.
// The goroutine that has the signal runs the window itself, since to start
// another first would only delay it, and leaves its place to a new receiver
// as soon as it would have to wait for a client.
func (m *Manhole) receive() {
	for {
		select {
		case <-m.signals:
			if w, mine, err := m.activate(); err == nil && mine {
				w.replace = func() {
					m.startReceiver()
					m.receiver.Done()
				}
				w.live()
				return
			}
		case <-m.activates:
			_ = m.Activate() // it is uninstalled, or it is not
		case <-m.triggered():
			m.trigger.Drain()
		case <-m.quit:
			m.receiver.Done()
			return
		}
	}
}

// Signals returns what a program with NoReceiver and a signal loop of its own
// has to pass to signal.Notify for the manhole; it calls Handle with what comes.
func (m *Manhole) Signals() []os.Signal {
	var sigs []os.Signal
	for _, sig := range []os.Signal{m.opts.OneshotOn, m.opts.ActivateOn} {
		if sig != nil {
			sigs = append(sigs, sig)
		}
	}
	if m.trigger != nil {
		sigs = append(sigs, trigger.Signal)
	}
	return sigs
}

// triggered is where the signal of the trigger file comes; nil without one.
func (m *Manhole) triggered() chan os.Signal {
	if m.trigger == nil {
		return nil
	}
	return m.trigger.Signals
}

// isOwn reports whether a signal is one of the manhole's.
func (m *Manhole) isOwn(sig os.Signal) bool {
	return sig != nil && (sig == m.opts.OneshotOn || sig == m.opts.ActivateOn)
}

// Handle is for the program's own signal loop: pass it every signal that comes,
// and go on with the next if it returns true, since the signal was the
// manhole's. It never blocks. SIGTERM, SIGINT and SIGHUP are never its own, but
// remove the socket of an open window before Handle returns, so that the
// program may exit at once.
func (m *Manhole) Handle(sig os.Signal) bool {
	if m.trigger != nil && sig == trigger.Signal {
		return m.trigger.Drain()
	}
	if !m.isOwn(sig) {
		if isTerminating(sig) {
			m.shutWindow(closedBy{sig})
		}
		return false
	}
	if sig == m.opts.ActivateOn {
		select {
		case <-m.activates: // the same signal, which would be for Wait
		default:
		}
		return m.Activate() == nil
	}
	select {
	case <-m.signals: // the same signal, which would be for Wait
	default:
	}
	return m.open()
}

// open is activate for callers who have something else to do.
func (m *Manhole) open() bool {
	w, mine, err := m.activate()
	if mine {
		ours.Go(w.live)
	}
	return err == nil
}

// Wait waits for the signals sigs on behalf of the program, and for the
// manhole's own if NoReceiver is set, to which it sees itself. It returns the
// first of sigs that comes, after closing an open window and removing its
// socket; a program usually calls it at the end of main:
//
//	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
//
// The error is ctx's if that ends first, and ErrNotInstalled once the manhole
// is uninstalled. The manhole's signal is kept from Install on until a Wait; the
// program's own are listened to during Wait only.
func (m *Manhole) Wait(ctx context.Context, sigs ...os.Signal) (os.Signal, error) {
	c := make(chan os.Signal, len(sigs)+1)
	if len(sigs) > 0 { // Notify without signals would mean every signal
		signal.Notify(c, sigs...)
		defer signal.Stop(c)
	}
	own, activates, triggered := m.signals, m.activates, m.triggered()
	if !m.opts.NoReceiver {
		own, activates, triggered = nil, nil, nil
	}
	for {
		select {
		case <-own:
			m.open()
		case <-activates:
			_ = m.Activate() // it is uninstalled, or it is not
		case <-triggered:
			m.trigger.Drain()
		case sig := <-c:
			if m.isOwn(sig) {
				continue // asked for by mistake; it has come to own as well
			}
			m.shutWindow(closedBy{sig})
			return sig, nil
		case <-m.quit:
			return nil, ErrNotInstalled
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// shutWindow closes the window if one is open.
func (m *Manhole) shutWindow(why error) {
	m.mu.Lock()
	w := m.win
	m.mu.Unlock()
	if w != nil {
		w.shut(why)
	}
}
