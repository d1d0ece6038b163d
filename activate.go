package oneshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
)

// activate opens a window, or starts the timeout of the open one again, which
// is what a signal does. It does not wait. If mine is true the caller has to see
// to it that the window's live is run.
func (m *Manhole) activate() (w *window, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.activateLocked()
}

func (m *Manhole) activateLocked() (w *window, mine bool, err error) {
	if m.undone {
		return nil, false, ErrNotInstalled
	}
	if err := m.moveIn(); err != nil {
		return nil, false, err
	}
	if m.win == nil {
		m.win = m.newWindow()
		return m.win, true, nil
	}
	if m.win.extend(m.stays()) {
		return m.win, false, nil
	}
	// The window is being shut, a matter of microseconds. Its path must be
	// free before another can be published there.
	if m.win.next == nil {
		m.win.next = m.newWindow()
	}
	return m.win.next, false, nil
}

// live runs the window and then its session, on the caller's goroutine.
func (w *window) live() {
	w.run()
	m := w.m
	m.mu.Lock()
	next := w.next
	if m.win == w { // it is not in a forked child, which has left it
		m.win = next
	}
	if next != nil {
		if m.undone {
			next.shut(errUninstalled)
		}
		ours.Go(next.live)
	}
	m.mu.Unlock()
	close(w.done)
	w.stepAside()
	if w.session != nil {
		w.session.run()
	}
}

// stepAside lets a new receiver take the place of the one whose goroutine runs
// the window.
func (w *window) stepAside() {
	if w.replace != nil {
		w.replace()
		w.replace = nil
	}
}

// Oneshot opens a window now, without a signal, waits for its client, serves
// it and returns when that has left: manhole's handle_oneshot, for a program
// that has a trigger of its own. If a window is open already Oneshot joins it.
//
// The error is that of publishing the socket (ErrPathInUse among others);
// os.ErrDeadlineExceeded if nobody came within ConnectTimeout; ctx's if that
// ended first, which closes the window and ends the session; or what else
// closed the window. How the session went is not an error.
func (m *Manhole) Oneshot(ctx context.Context) error {
	w, mine, err := m.activate()
	if err != nil {
		return err
	}
	if mine {
		ours.Go(w.live)
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if mine {
			w.shut(ctx.Err())
			<-w.done
		}
		if !mine || w.session == nil {
			return ctx.Err()
		}
	}
	if w.session == nil {
		return fmt.Errorf("oneshot: no session: %w", w.why())
	}
	select {
	case <-w.session.done:
		return nil
	case <-ctx.Done():
		w.session.abort(ctx.Err())
		<-w.session.done
		return ctx.Err()
	}
}

// activation is the time between Activate and the end of it: window after
// window, one client at a time.
type activation struct {
	over  chan struct{} // closed to end it; guarded by Manhole.mu
	ended chan struct{} // closed when it has no window any more
}

var errDeactivated = errors.New("deactivated")

// Activate opens the manhole until it is deactivated, as ActivateOn does: it
// serves one client after another, one at a time, making its socket anew after
// each, until nobody has come for IdleTimeout, somebody types deactivate, or
// Deactivate or Uninstall is called. It does not wait for the first window;
// what hinders that is logged. While it is active a goroutine of the manhole
// waits. Activating what is active starts the timeout again. The error is
// ErrNotInstalled.
func (m *Manhole) Activate() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.undone {
		return ErrNotInstalled
	}
	if m.active != nil {
		if m.win != nil {
			m.win.extend(m.stays())
		}
		return nil
	}
	a := &activation{over: make(chan struct{}), ended: make(chan struct{})}
	m.active = a
	ours.Go(func() { m.stayActive(a) })
	return nil
}

// Deactivate ends what Activate has begun: an open window is closed, its socket
// removed when Deactivate returns. A running session may finish. It does nothing
// to a manhole that is not active.
func (m *Manhole) Deactivate() {
	if a := m.endActivation(); a != nil {
		<-a.ended
	}
}

// endActivation tells the activation to end, and returns it; nil if there is none.
func (m *Manhole) endActivation() *activation {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.active
	if a != nil {
		m.active = nil
		close(a.over)
	}
	return a
}

// stays is how long a window stays open for a client. The caller holds m.mu.
func (m *Manhole) stays() time.Duration {
	if m.active != nil {
		return m.opts.IdleTimeout
	}
	return m.opts.ConnectTimeout
}

// stayActive is the goroutine of an activation.
func (m *Manhole) stayActive(a *activation) {
	defer close(a.ended)
	m.log.Info("activated", "path", m.Path(), "idle timeout", m.opts.IdleTimeout)
	why := m.windows(a)
	m.mu.Lock()
	if m.active == a { // it ends by itself
		m.active = nil
	}
	m.mu.Unlock()
	m.log.Info("deactivated", "path", m.Path(), "reason", why)
}

// windows opens window after window, until it returns why there is no other.
func (m *Manhole) windows(a *activation) error {
	for {
		m.mu.Lock()
		if m.active != a {
			m.mu.Unlock()
			return errDeactivated
		}
		w, mine, err := m.activateLocked()
		m.mu.Unlock()
		if err != nil {
			return err
		}
		if mine {
			ours.Go(w.live)
		}
		select {
		case <-w.done:
		case <-a.over:
			w.shut(errDeactivated)
			<-w.done
			return errDeactivated
		}
		if w.session == nil {
			return w.why()
		}
		select {
		case <-w.session.done:
		case <-a.over:
			return errDeactivated
		}
	}
}

// Drain waits until no session is running: manhole's daemon_connection=False,
// for a program that is about to end and does not want to cut anybody off. It
// keeps nobody from entering; call Uninstall before. The error is ctx's.
func (m *Manhole) Drain(ctx context.Context) error {
	for {
		m.mu.Lock()
		left := m.left
		inside := len(m.inside)
		m.mu.Unlock()
		if inside == 0 {
			return nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
