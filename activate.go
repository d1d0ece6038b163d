package oneshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
)

// activate opens a window, or restarts the timeout of the open one. The signal
// calls this too. It does not wait. If mine is true, the caller must make sure that
// serveWindow is called with the window.
func (m *Manhole) activate() (w *window, mine bool, err error) {
	if m == nil {
		return nil, false, ErrNotInstalled
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.activateLocked()
}

func (m *Manhole) activateLocked() (w *window, mine bool, err error) {
	if m.uninstalled {
		return nil, false, ErrNotInstalled
	}
	if err := m.adoptAfterFork(); err != nil {
		return nil, false, err
	}
	if m.win == nil {
		m.win = m.newWindow()
		return m.win, true, nil
	}
	if m.win.extend(m.windowTimeout()) {
		return m.win, false, nil
	}
	// The window is being shut, which takes microseconds. Its path must be free
	// before another window can be published there.
	if m.win.next == nil {
		m.win.next = m.newWindow()
	}
	return m.win.next, false, nil
}

// open is activate for callers that cannot run the window themselves. It runs the
// window on a new goroutine.
func (m *Manhole) open() (w *window, mine bool, err error) {
	if w, mine, err = m.activate(); mine {
		ours.Go(func() { m.serveWindow(w) })
	}
	return w, mine, err
}

// serveWindow runs the window and then its session, on the caller's goroutine.
func (m *Manhole) serveWindow(w *window) {
	w.awaitClient()
	m.mu.Lock()
	next := w.next
	if m.win == w { // false in a forked child, which has dropped the window
		m.win = next
	}
	if next != nil {
		if m.uninstalled {
			next.shut(errUninstalled)
		}
		ours.Go(func() { m.serveWindow(next) })
	}
	m.mu.Unlock()
	close(w.done)
	w.handOverReceiver()
	if w.session != nil {
		w.session.run()
	}
}

// handOverReceiver starts a new receiver if the window runs on the receiver's goroutine,
// because the window will keep that goroutine busy.
func (w *window) handOverReceiver() {
	if w.startNextReceiver != nil {
		w.startNextReceiver()
		w.startNextReceiver = nil
	}
}

// Oneshot opens a window now, without a signal. It waits for a client, serves it,
// and returns when the client has left. This is manhole's handle_oneshot, for a
// program with its own trigger. If a window is already open, Oneshot joins it.
//
// The error is one of these: the error of publishing the socket (for example
// ErrPathInUse); os.ErrDeadlineExceeded if no client connected within
// ConnectTimeout; ctx's error if ctx ended first, which closes the window and ends
// the session; or another reason why the window was closed. Oneshot returns no
// error for what happens during the session.
func (m *Manhole) Oneshot(ctx context.Context) error {
	w, mine, err := m.open()
	if err != nil {
		return err
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

// activation is one period from Activate until deactivation. It opens window after
// window, and serves one client at a time.
type activation struct {
	over  chan struct{} // closed to end the activation; guarded by Manhole.mu
	ended chan struct{} // closed when the activation has no open window left
}

var errDeactivated = errors.New("deactivated")

// Activate opens the manhole until it is deactivated, as the signal ActivateOn
// does. It serves one client after another, one at a time, and creates its socket
// again for each. It ends when no client has connected for IdleTimeout, when a user
// types deactivate, or when Deactivate or Uninstall is called.
//
// Activate does not wait for the first window. If the window cannot be opened, the
// reason is logged. While the manhole is active, one goroutine of the manhole
// waits. If the manhole is already active, Activate restarts the timeout. The only
// error is ErrNotInstalled.
func (m *Manhole) Activate() error {
	if m == nil {
		return ErrNotInstalled
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.uninstalled {
		return ErrNotInstalled
	}
	if m.active != nil {
		if m.win != nil {
			m.win.extend(m.windowTimeout())
		}
		return nil
	}
	a := &activation{over: make(chan struct{}), ended: make(chan struct{})}
	m.active = a
	ours.Go(func() { m.stayActive(a) })
	return nil
}

// Deactivate ends what Activate began. It closes an open window. When Deactivate
// returns, the socket is removed. A running session may finish. Deactivate does
// nothing if the manhole is not active.
func (m *Manhole) Deactivate() {
	if m != nil {
		m.stopActive()
	}
}

// stopActive does the work of Deactivate. It returns false if the manhole is not
// active.
func (m *Manhole) stopActive() bool {
	m.mu.Lock()
	a := m.active
	if a != nil {
		m.active = nil
		close(a.over)
	}
	m.mu.Unlock()
	if a == nil {
		return false
	}
	<-a.ended
	return true
}

// newWindow makes a window of this manhole. The caller holds m.mu.
func (m *Manhole) newWindow() *window {
	w := newWindow(&m.host, m.instance.Load(), m.windowTimeout(), m.newGuard)
	if m.opts.ReportOn != nil && !m.reportsAlone() && m.active == nil {
		w.reportAfter, w.report = m.opts.ReportAfter, m.report.Request
	}
	return w
}

// windowTimeout returns how long a window stays open for a client. The caller holds m.mu.
func (m *Manhole) windowTimeout() time.Duration {
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
	if m.active == a { // it ended by itself
		m.active = nil
	}
	m.mu.Unlock()
	m.log.Info("deactivated", "path", m.Path(), "reason", why)
}

// windows opens one window after another. It returns the reason why it stopped.
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
			ours.Go(func() { m.serveWindow(w) })
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

// Drain waits until no session is running. This is manhole's
// daemon_connection=False, for a program that is about to exit and does not want to
// interrupt anybody. Drain does not stop new clients from entering: call Uninstall
// first. The only error is ctx's.
func (m *Manhole) Drain(ctx context.Context) error {
	for m != nil {
		sessions, left := m.sessions.running()
		if len(sessions) == 0 {
			return nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
