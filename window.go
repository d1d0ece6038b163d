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
	"github.com/gomanhole/oneshot/internal/guard"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/socketpath"
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
// goroutine (awaitClient) publishes the socket and accepts clients. Any goroutine may
// extend or shut the window.
type window struct {
	host     *host
	instance *instance
	done     chan struct{} // closed when the window has ended; its session may still run
	over     chan struct{} // closed by shut
	gone     chan struct{} // closed after over, when there is no socket any more
	next     *window       // guarded by Manhole.mu: requested while this one was being shut

	startNextReceiver func() // set if the window runs on a receiver's goroutine
	newGuard          func(onSignal func(syscall.Signal)) *guard.Guard
	guard             *guard.Guard
	report            func()        // writes a report; nil: there is none if nobody comes
	reportAfter       time.Duration // how long it waits for a client
	opened            time.Time     // when the socket appeared at its path; zero after that was logged
	session           *Session      // of the client that entered; other goroutines may read it after done is closed

	mu         sync.Mutex    // guards what follows; not held during system calls on files, which may take long
	timeout    time.Duration // how long the window waits for a client
	deadline   time.Time
	reportAt   time.Time          // when to write a report; zero: not, or not any more
	publishing bool               // publish is making the socket, and removes it if the window is shut meanwhile
	ln         *unixsock.Listener // nil: not yet published
	reason     error              // why the window was shut; nil: it is still open
}

// newWindow creates a window that waits for a client as long as timeout. Its method
// awaitClient opens it.
func newWindow(h *host, at *instance, timeout time.Duration, newGuard func(func(syscall.Signal)) *guard.Guard) *window {
	return &window{host: h, instance: at, timeout: timeout, newGuard: newGuard,
		done: make(chan struct{}), over: make(chan struct{}), gone: make(chan struct{})}
}

// extend restarts the timeout. It returns false if the window is shut. It does not
// wait for the file system.
func (w *window) extend(timeout time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return false
	}
	if w.ln != nil {
		if sig := w.guard.Fired(); sig != 0 { // the signal handler has removed the path
			ours.Go(func() { w.shut(closedBy{sig}) })
			return false
		}
	}
	w.timeout = timeout
	w.setDeadlineLocked(time.Now())
	if w.ln != nil {
		w.ln.SetDeadline(w.nextLocked())
	}
	w.host.log.Start()
	return true
}

// setDeadlineLocked sets the times until which the window and the report wait for a client.
func (w *window) setDeadlineLocked(from time.Time) {
	w.deadline = from.Add(w.timeout)
	if w.report != nil {
		w.reportAt = from.Add(min(w.reportAfter, w.timeout))
	}
}

// nextLocked returns the time at which the window has to do something by itself.
func (w *window) nextLocked() time.Time {
	if !w.reportAt.IsZero() && w.reportAt.Before(w.deadline) {
		return w.reportAt
	}
	return w.deadline
}

// shut closes the window for good. When it returns, the path is gone and nobody can
// connect, but see removeTime. Only the first reason counts; shut reports whether
// this call was the first.
func (w *window) shut(reason error) bool {
	w.mu.Lock()
	first, mine := w.markLocked(reason)
	w.mu.Unlock()
	if mine {
		w.remove(w.ln, reason)
	} else {
		waitFor(w.gone)
	}
	return first
}

// markLocked sets the reason, and reports whether this is the first one. If mine is
// true, the caller must call remove without holding w.mu.
func (w *window) markLocked(reason error) (first, mine bool) {
	if w.reason != nil {
		return false, false
	}
	w.reason = reason
	close(w.over)
	return true, !w.publishing
}

// removeTime is how long the program may have to wait until somebody else has made or
// removed a socket. That takes microseconds, unless the file system is slow.
const removeTime = 500 * time.Millisecond

// waitFor waits until done is closed, removeTime at the longest.
func waitFor(done <-chan struct{}) {
	t := time.NewTimer(removeTime)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// remove removes the socket of a window that was shut, and turns away the clients that
// have connected. Nothing is done if ln is nil.
func (w *window) remove(ln *unixsock.Listener, reason error) {
	defer close(w.gone)
	if ln == nil {
		return
	}
	w.unlink(ln)
	idle := w.guard.Disarm()       // before Close: a signal handler may use the descriptor
	if !w.instance.proc.isThis() { // the waiting clients belong to the parent
		ln.Abandon()
		return
	}
	ln.TurnAway(func(client int) {
		w.host.dismiss(client, protocol.TooLate+reason.Error()+"\n")
	})
	if idle {
		ln.Close()
	} else {
		w.host.log.Warn("a signal handler has not returned, since the file system of the path hangs; a descriptor stays open", "path", w.instance.path)
	}
}

// why returns the reason why the window was shut, or nil if it is open.
func (w *window) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// awaitClient runs the window until a client has entered or the window is shut.
func (w *window) awaitClient() {
	if !w.delay() {
		return
	}
	w.guard = w.newGuard(func(sig syscall.Signal) { w.shut(closedBy{sig}) })
	switch open, err := w.publish(); {
	case open:
		w.admit()
	case err != nil:
		w.host.log.Error("no window", "path", w.instance.path, "err", err)
		if w.report != nil { // nobody can come
			w.report()
		}
	default:
		w.host.log.Info("window closed", "path", w.instance.path, "reason", w.why())
	}
	<-w.gone // whoever has shut the window may still be removing the socket
	w.guard.Leave()
}

// delay waits until ReinstallDelay has passed. It returns false if the window was
// shut in the meantime.
func (w *window) delay() bool {
	if d := time.Until(w.instance.notBefore); d > 0 {
		w.handOverReceiver()
		w.pause(d)
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
	reported := false
	for {
		client, err := w.accept()
		if sig := w.guard.Fired(); sig != 0 {
			w.shut(closedBy{sig})
		}
		if why := w.why(); why != nil && err != nil {
			log.Info("window closed", "path", w.instance.path, "reason", why)
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.checkDeadline()
			continue
		}
		if err != nil {
			// Usually the process is out of descriptors. The client keeps waiting.
			if !reported {
				reported = true
				if what := socketpath.Remedy(err, w.instance.path, w.instance.proc.pid); what != "" {
					err = fmt.Errorf("%w; %s", err, what)
				}
				log.Error("cannot accept a client, will try again", "path", w.instance.path, "err", err)
			}
			w.pause(100 * time.Millisecond)
			w.checkDeadline()
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
		w.ln.StartWaiting(time.Now().Add(min(logDelay, w.timeout)))
	}
	w.mu.Unlock()
	w.handOverReceiver()
	return w.ln.Accept()
}

// logOpen logs that the window is open, once. The record has the time at which the
// window opened.
func (w *window) logOpen() {
	if !w.opened.IsZero() {
		args := []any{"path", w.instance.path, "timeout", w.timeout}
		if w.instance.fromHost != "" {
			args = append(args, "path_from_host", w.instance.fromHost)
		}
		w.host.log.Later(w.opened, slog.LevelInfo, "window open", args...)
		w.opened = time.Time{}
	}
}

// logDelay bounds how long the "window open" record is held back while we wait for
// a client of the fast path.
const logDelay = 5 * time.Millisecond

// checkDeadline shuts the window if its deadline has passed, and begins the report when
// its time has come. Neither is so if a signal has just extended the window, or if only
// the first, short deadline (logDelay) has expired.
func (w *window) checkDeadline() {
	w.host.log.Start()
	w.mu.Lock()
	mine, due := false, false
	now := time.Now()
	if w.reason == nil && !w.reportAt.IsZero() && !now.Before(w.reportAt) {
		due, w.reportAt = true, time.Time{}
	}
	switch {
	case w.reason != nil:
	case now.Before(w.deadline):
		w.ln.SetDeadline(w.nextLocked())
	default:
		_, mine = w.markLocked(errNobodyCame)
	}
	w.mu.Unlock()
	if mine {
		w.remove(w.ln, errNobodyCame)
	}
	if due {
		w.report()
	}
}

// pause waits for d, or until the window is shut.
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
	w.host.log.Warn("client refused", "path", w.instance.path, "client_pid", cred.PID, "client_uid", cred.UID, "client_gid", cred.GID, "err", why)
	w.host.dismiss(client, fmt.Sprintf("%s%v\n", protocol.Refused, why))
}

// dismiss sends a client one line and closes its connection. A client that sends
// something first (echo stacks | nc) would not read the line if its own write
// failed. So it gets a moment to do both, on a goroutine of its own. Uninstall waits
// for that goroutine.
func (h *host) dismiss(client int, line string) {
	_, err := unixsock.Write(uintptr(client), []byte(line))
	f, pid := os.NewFile(uintptr(client), "manhole client"), os.Getpid()
	if err == nil {
		err = unixsock.CloseWrite(client)
	}
	if err == nil {
		err = f.SetReadDeadline(time.Now().Add(clientio.DismissTime))
	}
	if err != nil || !h.dismissals.Begin() {
		hangUp(f, pid)
		return
	}
	ours.Go(func() {
		defer h.dismissals.End()
		defer hangUp(f, pid)
		_, _ = io.CopyN(io.Discard, f, clientio.MaxLine) // ends when the client closes, or at the deadline
	})
}
