package oneshot

import (
	"context"
	"fmt"
)

// activate opens a window, or starts the timeout of the open one again, which
// is what a signal does. It does not wait. mine is false where the window was
// there already.
func (m *Manhole) activate() (w *window, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.undone {
		return nil, false, ErrNotInstalled
	}
	if m.win == nil {
		m.win = m.newWindow()
		go m.runWindows(m.win)
		return m.win, true, nil
	}
	if m.win.extend() {
		return m.win, false, nil
	}
	// The window is being shut, a matter of microseconds. Its path must be
	// free before another can be published there.
	if m.win.next == nil {
		m.win.next = m.newWindow()
		return m.win.next, true, nil
	}
	return m.win.next, false, nil
}

// runWindows runs a window and those that were asked for while it was shut.
func (m *Manhole) runWindows(w *window) {
	for w != nil {
		w.run()
		m.mu.Lock()
		if m.undone && w.next != nil {
			w.next.shut(errUninstalled)
		}
		m.win = w.next
		m.mu.Unlock()
		close(w.done)
		w = m.win
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
