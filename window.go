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

// The reasons for which a window is shut.
var (
	errTaken       = errors.New("another client has entered")
	errUninstalled = fmt.Errorf("uninstalled: %w", ErrNotInstalled)
	errNobodyCame  = fmt.Errorf("nobody came within the timeout: %w", os.ErrDeadlineExceeded)
)

// closedBy is the reason when a signal closed the window.
type closedBy struct{ sig os.Signal }

func (c closedBy) Error() string { return "closed by " + sigset.NameOf(c.sig) }

// window is one period during which the socket exists. Only the window's own
// goroutine (run) publishes the socket and accepts clients. Any goroutine may
// extend or shut the window.
type window struct {
	host *host
	home *home
	done chan struct{} // closed when the window has ended; its session may still run
	over chan struct{} // closed by shut
	next *window       // guarded by Manhole.mu: requested while this one was being shut

	replace  func() // starts a new receiver; set if the window runs on a receiver's goroutine
	newGuard func(onSignal func(syscall.Signal)) *guard
	guard    *guard
	opened   time.Time // when the socket appeared at its path; zero after that was logged
	session  *Session  // of the client that entered; other goroutines may read it after done is closed

	mu       sync.Mutex    // guards what follows
	stays    time.Duration // how long the window waits for a client
	deadline time.Time
	ln       *unixsock.Listener // nil: not yet published
	reason   error              // why the window was shut; nil: it is still open
}

// newWindow creates a window that waits for a client as long as stays. Its method
// run opens it.
func newWindow(h *host, at *home, stays time.Duration, newGuard func(func(syscall.Signal)) *guard) *window {
	return &window{host: h, home: at, stays: stays, newGuard: newGuard, done: make(chan struct{}), over: make(chan struct{})}
}

// extend restarts the timeout. It returns false if the window is shut.
func (w *window) extend(stays time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return false
	}
	if w.ln != nil {
		if sig := w.guard.fired(); sig != 0 { // the signal handler has removed the path
			w.shutLocked(closedBy{sig})
			return false
		}
	}
	w.stays = stays
	w.deadline = time.Now().Add(w.stays)
	if w.ln != nil {
		w.ln.SetDeadline(w.deadline)
	}
	w.host.log.Start()
	return true
}

// shut closes the window for good. When it returns, the path is gone and nobody can
// connect. Only the first reason counts; shut reports whether this call was the
// first.
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
		idle := w.guard.disarm()   // before Close: a signal handler may use the descriptor
		if !w.home.proc.isThis() { // the waiting clients belong to the parent
			w.ln.Abandon()
			return true
		}
		w.ln.TurnAway(func(client int) {
			w.host.dismiss(client, protocol.TooLate+reason.Error()+"\n")
		})
		if idle {
			w.ln.Close()
		} else {
			w.host.log.Warn("a signal handler has not returned, since the file system of the path hangs; a descriptor stays open", "path", w.home.path)
		}
	}
	return true
}

// why returns the reason why the window was shut, or nil if it is open.
func (w *window) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// run runs the window until a client has entered or the window is shut.
func (w *window) run() {
	if !w.delay() {
		return
	}
	w.guard = w.newGuard(func(sig syscall.Signal) { w.shut(closedBy{sig}) })
	switch err := w.publish(); {
	case err == nil:
		w.admit()
	case isA[closedBy](err), errors.Is(err, ErrNotInstalled):
		w.host.log.Info("window closed", "path", w.home.path, "reason", err)
	default:
		w.host.log.Error("no window", "path", w.home.path, "err", err)
	}
	w.guard.leave()
}

// delay waits until ReinstallDelay has passed. It returns false if the window was
// shut in the meantime.
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

// admit logs the window and accepts clients until it finds the first authorized
// one, or until the window is shut. It begins the session of the authorized client.
func (w *window) admit() {
	log := &w.host.log
	s := newSession(w.host) // in advance, while the client connects
	s.usage = vitals.ReadUsage()
	told := false
	for {
		client, err := w.accept()
		if sig := w.guard.fired(); sig != 0 {
			w.shut(closedBy{sig})
		}
		if why := w.why(); why != nil && err != nil {
			log.Info("window closed", "path", w.home.path, "reason", why)
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.timeout()
			continue
		}
		if err != nil {
			// Usually the process is out of descriptors. The client keeps waiting.
			if !told {
				told = true
				if step := nextStep(err, w.home); step != "" {
					err = fmt.Errorf("%w; %s", err, step)
				}
				log.Error("cannot accept a client, trying on", "path", w.home.path, "err", err)
			}
			w.pause(100 * time.Millisecond)
			w.timeout()
			continue
		}
		cred, err := w.authorize(client)
		if err == nil {
			err = s.enter(cred)
		}
		if err != nil {
			w.refuse(client, cred, err)
			continue
		}
		if !w.shut(errTaken) {
			s.forget()
			w.refuse(client, cred, w.why())
			return
		}
		s.begin(client)
		w.logOpen()
		w.session = s
		return
	}
}

// accept returns the next client. There is a fast path: a client that polls for the
// path is usually in the backlog before we get here. So accept first tries without
// registering the listener with the runtime's poller, and before anything is
// logged. Each system call and each goroutine that this saves is one chance less to
// be delayed on a busy machine.
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

// logOpen logs that the window is open, once. The record has the time at which the
// window opened.
func (w *window) logOpen() {
	if !w.opened.IsZero() {
		w.host.log.Later(w.opened, slog.LevelInfo, "window open", "path", w.home.path, "timeout", w.stays)
		w.opened = time.Time{}
	}
}

// promptly bounds how long the "window open" record is held back while we wait for
// a client of the fast path.
const promptly = 5 * time.Millisecond

// timeout shuts the window if its deadline has passed. The deadline has not passed
// if a signal has just extended it, or if only the first, short one (promptly) has
// expired.
func (w *window) timeout() {
	w.host.log.Start()
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

// refuse sends a client the reason why it may not enter, and closes its connection.
func (w *window) refuse(client int, cred Cred, why error) {
	w.host.log.Warn("client refused", "path", w.home.path, "client_pid", cred.PID, "client_uid", cred.UID, "client_gid", cred.GID, "err", why)
	w.host.dismiss(client, fmt.Sprintf("%s%v\n", protocol.Refused, why))
}

// dismiss sends a client one line and closes its connection. A client that sends
// something first (echo stacks | nc) would not read the line if its own write
// failed. So it gets a moment to do both, on a goroutine of its own. Uninstall waits
// for that goroutine.
func (h *host) dismiss(client int, line string) {
	_, err := unixsock.Write(uintptr(client), []byte(line))
	f := os.NewFile(uintptr(client), "manhole client")
	if err == nil {
		err = unixsock.CloseWrite(client)
	}
	if err == nil {
		err = f.SetReadDeadline(time.Now().Add(dismissTime))
	}
	if err != nil || !h.dismissals.begin() {
		_ = f.Close()
		return
	}
	ours.Go(func() {
		defer h.dismissals.end()
		defer f.Close()
		_, _ = io.CopyN(io.Discard, f, clientio.MaxLine) // ends when the client closes, or at the deadline
	})
}

const (
	dismissTime   = 250 * time.Millisecond
	maxDismissals = 16 // at a time; further clients are disconnected at once
)

// dismissals counts the refused clients that are still reading the reason.
type dismissals struct {
	mu   sync.Mutex // guards what follows
	now  int
	none chan struct{} // closed when now becomes 0
}

// begin counts one more client. It returns false if there are too many.
func (d *dismissals) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now >= maxDismissals {
		return false
	}
	if d.now == 0 {
		d.none = make(chan struct{})
	}
	d.now++
	return true
}

func (d *dismissals) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now--; d.now == 0 {
		close(d.none)
	}
}

// wait waits until every client that was refused by now has gone, dismissTime at the
// longest.
func (d *dismissals) wait() {
	d.mu.Lock()
	now, none := d.now, d.none
	d.mu.Unlock()
	if now > 0 {
		<-none
	}
}
