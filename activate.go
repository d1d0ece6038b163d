package oneshot

import (
	"context"
	"fmt"
)

// activate opens a window, or starts the timeout of the open one again, which
// is what a signal does. It does not wait. If mine is true the caller has to see
// to it that the window's live is run.
func (m *Manhole) activate() (w *window, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.undone {
		return nil, false, ErrNotInstalled
	}
	if m.win == nil {
		m.win = m.newWindow()
		return m.win, true, nil
	}
	if m.win.extend() {
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
	m.win = next
	if next != nil {
		if m.undone {
			next.shut(errUninstalled)
		}
		go func() { next.live() }()
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
		go func() { w.live() }()
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
