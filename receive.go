package oneshot

import (
	"context"
	"os"
	"os/signal"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/trigger"
)

// This file: the three ways to wait for the signal. They are the receiver, Handle
// and Wait.

func (m *Manhole) startReceiver() {
	m.receiver.Add(1)
	ours.Go(m.receive)
}

// receive is the receiver: it waits for the signal if the program does not. It runs
// the window on its own goroutine, because starting another goroutine first would
// delay the window. As soon as the window would have to wait for a client, a new
// receiver takes its place.
func (m *Manhole) receive() {
	for {
		select {
		case <-m.signals:
			if w, mine, err := m.activate(); err == nil && mine {
				w.replace = func() {
					m.startReceiver()
					m.receiver.Done()
				}
				m.live(w)
				return
			}
		case <-m.activates:
			_ = m.Activate() // the only error is ErrNotInstalled
		case <-m.triggered():
			m.trigger.Drain()
		case <-m.quit:
			m.receiver.Done()
			return
		}
	}
}

// Signals returns the signals of the manhole. A program with NoReceiver and its own
// signal loop passes them to signal.Notify, and calls Handle with each signal that
// arrives.
func (m *Manhole) Signals() []os.Signal {
	if m == nil {
		return nil
	}
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

// triggered returns the channel for the signal of the trigger file, or nil if there
// is no trigger file.
func (m *Manhole) triggered() chan os.Signal {
	if m.trigger == nil {
		return nil
	}
	return m.trigger.Signals
}

// isOwn reports whether sig is one of the manhole's signals.
func (m *Manhole) isOwn(sig os.Signal) bool {
	return sig != nil && (sig == m.opts.OneshotOn || sig == m.opts.ActivateOn)
}

// Handle is for the program's own signal loop. Pass it every signal that arrives.
// If it returns true, the signal was for the manhole: go on with the next one.
// Handle never blocks. It never returns true for SIGTERM, SIGINT and SIGHUP, but it
// removes the socket of an open window before it returns, so the program may exit
// at once.
func (m *Manhole) Handle(sig os.Signal) bool {
	if m == nil {
		return false
	}
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
		case <-m.activates: // the same signal was queued for Wait too; drop it
		default:
		}
		return m.Activate() == nil
	}
	select {
	case <-m.signals: // the same signal was queued for Wait too; drop it
	default:
	}
	_, _, err := m.open()
	return err == nil
}

// Wait waits for the signals sigs on behalf of the program. With NoReceiver it
// waits for the manhole's signals too, and handles them. When one of sigs arrives,
// Wait closes an open window, removes its socket, and returns the signal. A program
// usually calls it at the end of main:
//
//	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
//
// The error is ctx's if ctx ends first, and ErrNotInstalled after the manhole is
// uninstalled. From Install on, a signal for the manhole is remembered until Wait
// is called. The program's own signals are only received during Wait.
func (m *Manhole) Wait(ctx context.Context, sigs ...os.Signal) (os.Signal, error) {
	if m == nil {
		m = &Manhole{} // it has no signals and no window
	}
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
			_, _, _ = m.open() // an error is logged
		case <-activates:
			_ = m.Activate() // the only error is ErrNotInstalled
		case <-triggered:
			m.trigger.Drain()
		case sig := <-c:
			if m.isOwn(sig) {
				continue // the caller listed it by mistake; it arrives on own as well
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
	if w := m.window(); w != nil {
		w.shut(why)
	}
}

// window returns the open window, or nil if there is none.
func (m *Manhole) window() *window {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.win
}
