package oneshot

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/protocol"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/unixsock"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Why a window was shut.
var (
	errTaken       = errors.New("another client has entered")
	errUninstalled = fmt.Errorf("uninstalled: %w", ErrNotInstalled)
	errNobodyCame  = fmt.Errorf("nobody came within the timeout: %w", os.ErrDeadlineExceeded)
)

// closedBy is the reason of a window that a signal closed.
type closedBy struct{ sig os.Signal }

func (c closedBy) Error() string { return "closed by " + sigset.NameOf(c.sig) }

// window is one time during which the socket exists. Its goroutine (run) is
// the only one that publishes and accepts; any other may extend or shut it.
type window struct {
	m    *Manhole
	home *home
	done chan struct{} // closed when nothing of it is left but its session
	over chan struct{} // closed by shut
	next *window       // guarded by m.mu: asked for while this one was being shut

	replace func() // starts a new receiver, where the window runs on the goroutine of one
	guard   *guard
	opened  time.Time // when the socket came to its path; zero once that is logged
	session *Session  // who entered; for others to read once done is closed

	mu       sync.Mutex    // guards what follows
	stays    time.Duration // how long it waits for a client
	deadline time.Time
	ln       *unixsock.Listener // nil: not published yet
	own      unixsock.ID        // the socket's file
	reason   error              // why it was shut; nil: it is not
}

// newWindow makes the next window. The caller holds m.mu.
func (m *Manhole) newWindow() *window {
	return &window{m: m, home: m.home.Load(), stays: m.stays(), done: make(chan struct{}), over: make(chan struct{})}
}

// extend starts the timeout again; false if the window is shut.
func (w *window) extend(stays time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return false
	}
	if w.ln != nil {
		if sig := w.guard.fired(); sig != 0 { // it has no path any more
			w.shutLocked(closedBy{sig})
			return false
		}
	}
	w.stays = stays
	w.deadline = time.Now().Add(w.stays)
	if w.ln != nil {
		w.ln.SetDeadline(w.deadline)
	}
	w.m.log.Start()
	return true
}

// shut closes the window for good: when it returns, the path is gone and nobody
// can connect. Only the first reason counts; shut reports whether this was it.
func (w *window) shut(reason error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shutLocked(reason)
}

func (w *window) shutLocked(reason error) bool {
	if w.reason != nil {
		return false
	}
	w.reason = reason
	close(w.over)
	if w.ln != nil {
		w.unlink()
		idle := w.guard.disarm()   // it knows the descriptor
		if !w.home.proc.isThis() { // the clients are the parent's
			w.ln.Abandon()
			return true
		}
		w.ln.TurnAway(func(client int) {
			w.m.dismiss(client, protocol.TooLate+reason.Error()+"\n")
		})
		if idle {
			w.ln.Close()
		} else {
			w.m.log.Warn("a signal handler has not returned, since the file system of the path hangs; a descriptor stays open", "path", w.home.path)
		}
	}
	return true
}

// why is the reason of a window that was shut.
func (w *window) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// run is the life of the window, up to the client that has entered, if any.
func (w *window) run() {
	if !w.delay() {
		return
	}
	w.guard = w.m.newGuard(func(sig syscall.Signal) { w.shut(closedBy{sig}) })
	switch err := w.publish(); {
	case err == nil:
		w.admit()
	case errors.As(err, new(closedBy)), errors.Is(err, ErrNotInstalled):
		w.m.log.Info("window closed", "path", w.home.path, "reason", err)
	default:
		w.m.log.Error("no window", "path", w.home.path, "err", err)
	}
	w.guard.leave()
}

// delay waits for the end of ReinstallDelay; false if the window is shut by then.
func (w *window) delay() bool {
	if d := time.Until(w.home.notBefore); d > 0 {
		w.stepAside()
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-w.over:
		}
	}
	select {
	case <-w.over:
		return false
	default:
		return true
	}
}

// admit logs the window and accepts until the first authorized client, whose
// session it begins, or until the window is shut.
func (w *window) admit() {
	m := w.m
	s := m.newSession() // in advance, while the client connects
	s.usage = vitals.ReadUsage()
	told := false
	for {
		client, err := w.accept()
		if sig := w.guard.fired(); sig != 0 {
			w.shut(closedBy{sig})
		}
		if why := w.why(); why != nil && err != nil {
			m.log.Info("window closed", "path", m.Path(), "reason", why)
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.timeout()
			continue
		}
		if err != nil {
			// Out of descriptors, as a rule; the client goes on waiting.
			if !told {
				told = true
				if step := nextStep(err, w.home); step != "" {
					err = fmt.Errorf("%w; %s", err, step)
				}
				m.log.Error("cannot accept a client, trying on", "path", m.Path(), "err", err)
			}
			w.pause(100 * time.Millisecond)
			w.timeout()
			continue
		}
		cred, err := w.authorize(client)
		if err == nil {
			err = m.enter(s, cred)
		}
		if err != nil {
			m.refuse(client, cred, err)
			continue
		}
		if !w.shut(errTaken) {
			m.forget(s)
			m.refuse(client, cred, w.why())
			return
		}
		s.begin(client)
		w.logOpen()
		w.session = s
		return
	}
}

// accept returns the next client. One that was only waiting for the path is
// there already, and is served without the runtime's poller having heard of
// either socket, and before anything is logged: every system call and every
// goroutine saved is a chance less to be held up where the CPUs are busy.
func (w *window) accept() (int, error) {
	w.mu.Lock()
	if w.reason != nil {
		w.mu.Unlock()
		return -1, w.reason
	}
	if !w.ln.Waiting() {
		client, err := w.ln.AcceptNow()
		if err == nil {
			w.mu.Unlock()
			return client, nil
		}
		w.logOpen()
		w.ln.StartWaiting(time.Now().Add(min(promptly, w.stays)))
	}
	w.mu.Unlock()
	w.stepAside()
	return w.ln.Accept()
}

// logOpen logs the opening, once. The record has the time of that.
func (w *window) logOpen() {
	if !w.opened.IsZero() {
		w.m.log.Later(w.opened, slog.LevelInfo, "window open", "path", w.home.path, "timeout", w.stays)
		w.opened = time.Time{}
	}
}

// promptly is how long the log may wait for such a client.
const promptly = 5 * time.Millisecond

// timeout shuts the window if its time is over. It is not if a signal has just
// extended it, nor after the first, prompt deadline.
func (w *window) timeout() {
	w.m.log.Start()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.reason != nil:
	case time.Now().Before(w.deadline):
		w.ln.SetDeadline(w.deadline)
	default:
		w.shutLocked(errNobodyCame)
	}
}

func (w *window) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.over:
	}
}

// refuse tells a client why it may not enter, and lets it go.
func (m *Manhole) refuse(client int, cred Cred, why error) {
	m.log.Warn("client refused", "path", m.Path(), "pid", cred.PID, "uid", cred.UID, "gid", cred.GID, "err", why)
	m.dismiss(client, fmt.Sprintf("%s%v\n", protocol.Refused, why))
}

// dismiss sends a client one line and lets it go. A client that has something
// to send first (echo stacks | nc) would not read the line if its own write
// failed, so it is given a moment for both, on a goroutine of its own.
func (m *Manhole) dismiss(client int, line string) {
	_, err := unixsock.Write(uintptr(client), []byte(line))
	f := os.NewFile(uintptr(client), "manhole client")
	if err == nil {
		err = unixsock.CloseWrite(client)
	}
	if err == nil {
		err = f.SetReadDeadline(time.Now().Add(dismissTime))
	}
	if err != nil || m.dismissing.Load() >= maxDismissing {
		_ = f.Close()
		return
	}
	m.dismissing.Add(1)
	ours.Go(func() {
		defer m.dismissing.Add(-1)
		defer f.Close()
		_, _ = io.CopyN(io.Discard, f, clientio.MaxLine) // the deadline ends it, if not the client
	})
}

const (
	dismissTime   = 250 * time.Millisecond
	maxDismissing = 16 // at a time; further ones are let go at once
)
