package oneshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/socketpath"
	"github.com/gomanhole/oneshot/internal/threadroom"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// This file: how the socket of a window is created at its path and removed from it.

// publish makes the socket appear at the path, listening, with mode 0600 and a
// deadline, and returns true. Otherwise it returns the error that has shut the window,
// or nil if the window was shut for another reason.
func (w *window) publish() (open bool, err error) {
	w.mu.Lock()
	if w.reason != nil {
		w.mu.Unlock()
		return false, nil
	}
	w.publishing = true
	w.mu.Unlock()

	ln, err := w.makeSocket()

	w.mu.Lock()
	w.publishing = false
	if sig := w.guard.Fired(); sig != 0 {
		w.markLocked(closedBy{sig}) // the signal handler has removed the socket
		err = nil
	}
	switch {
	case err != nil:
		if first, _ := w.markLocked(err); !first {
			err = nil
		}
	case w.reason == nil:
		w.ln = ln
		w.opened = time.Now()
		w.setDeadlineLocked(w.opened)
		w.mu.Unlock()
		return true, nil
	}
	why := w.reason
	w.mu.Unlock()
	w.remove(ln, why)
	return false, err
}

// makeSocket makes the socket at a temporary name and moves it to the path. If it
// returns an error, it has removed the socket.
func (w *window) makeSocket() (ln *unixsock.Listener, err error) {
	tmp, path := w.instance.path+protocol.TempSuffix(rand.Uint32()), w.instance.path
	if unixsock.IsAbstract(path) { // there is no file to move or remove
		tmp, path = "", ""
	}
	if err = threadroom.CheckLimit(); err == nil {
		err = w.guard.Arm(w.instance.proc.pid, path, tmp)
	}
	if err != nil {
		return nil, err
	}
	err = os.ErrClosed // returned if a signal has already arrived
	if w.guard.Hold() {
		if tmp == "" {
			ln, err = w.listenAbstract()
		} else if ln, err = unixsock.Listen(tmp); err == nil {
			err = w.move(ln, tmp)
		}
	}
	w.guard.Unhold()
	if err == nil {
		return ln, nil
	}
	if ln != nil && tmp != "" {
		_ = unixsock.Remove(tmp, ln.ID)  // not another file, which Move may have exchanged for it
		_ = unixsock.Remove(path, ln.ID) // where it is if Move could not put such a file back
	}
	if idle := w.guard.Disarm(); idle && ln != nil {
		ln.Close()
	}
	if step := socketpath.Remedy(err, w.instance.path, w.instance.proc.pid); step != "" {
		err = fmt.Errorf("%w; %s, and try again", err, step)
	}
	return nil, err
}

// listenAbstract publishes a socket without a file. A client that connects between
// bind and listen is refused. Nothing can be done about that.
func (w *window) listenAbstract() (*unixsock.Listener, error) {
	ln, err := unixsock.Listen(w.instance.path)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s; end its owner or set SocketPath", ErrPathInUse, w.instance.path)
	}
	if err == nil {
		w.guard.SetSocket(ln)
	}
	return ln, err
}

// move moves the listening socket from tmp to its path, if the window was not shut
// while the socket was made.
func (w *window) move(ln *unixsock.Listener, tmp string) error {
	w.guard.SetSocket(ln)
	if why := w.why(); why != nil {
		return why
	}
	if sig := w.guard.Fired(); sig != 0 {
		return closedBy{sig}
	}
	return unixsock.Move(tmp, w.instance.path)
}

// unlink removes the path if it is still our socket, and if this is still the
// process that created it.
func (w *window) unlink(ln *unixsock.Listener) {
	path := w.instance.path
	if !w.instance.proc.isThis() || unixsock.IsAbstract(path) {
		return
	}
	err := unixsock.Remove(path, ln.ID)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	if info, lstatErr := os.Lstat(path); lstatErr == nil && errors.Is(err, fs.ErrPermission) && !unixsock.OwnedBy(info, os.Geteuid()) {
		// In a folder with a sticky bit, only the owner of a file may remove it.
		err = fmt.Errorf("%w; the process has changed its user since it made the socket, which keeps further windows from opening; remove it", err)
	}
	w.host.log.Warn("the socket was not removed", "path", path, "err", err)
}
