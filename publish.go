package oneshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// This file: how the socket of a window is created at its path and removed from it.

// publish makes the socket appear at the path, listening, with mode 0600 and a
// deadline. Any failure shuts the window.
func (w *window) publish() (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return w.reason
	}
	tmp, path := w.home.path+protocol.TempSuffix(rand.Uint32()), w.home.path
	if unixsock.IsAbstract(path) { // there is no file to move or remove
		tmp, path = "", ""
	}
	if err := w.guard.arm(w.home.proc.pid, path, tmp); err != nil {
		w.reason = err
		close(w.over)
		return err
	}
	var ln *unixsock.Listener
	err = os.ErrClosed // returned if a signal has already arrived
	if w.guard.hold() {
		if tmp == "" {
			ln, err = w.listenAbstract()
		} else if ln, err = unixsock.Listen(tmp); err == nil {
			err = w.move(ln, tmp)
		}
	}
	w.guard.unhold()
	if err != nil {
		if ln != nil && tmp != "" {
			_ = unixsock.Remove(tmp, ln.ID) // not another file, which Move may have exchanged for it
		}
		if idle := w.guard.disarm(); idle && ln != nil {
			ln.Close()
		}
		if sig := w.guard.fired(); sig != 0 {
			err = closedBy{sig} // the signal handler has removed the socket
		} else if step := nextStep(err, w.home); step != "" {
			err = fmt.Errorf("%w; %s, and try again", err, step)
		}
		w.reason = err
		close(w.over)
		return err
	}
	w.ln = ln
	if sig := w.guard.fired(); sig != 0 {
		w.shutLocked(closedBy{sig})
		return w.reason
	}
	w.opened = time.Now()
	w.deadline = w.opened.Add(w.stays)
	return nil
}

// nextStep returns what the user can do about an error of the system, such as a
// missing resource. It returns "" if the error says enough.
func nextStep(err error, h *home) string {
	dir := filepath.Dir(h.path)
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Sprintf("raise the limit (prlimit --pid %d --nofile=N) or have the program close some", h.proc.pid)
	case errors.Is(err, syscall.ENFILE):
		return "raise the limit of the system (sysctl fs.file-max)"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Sprintf("make room in %s (df -i %s)", dir, dir)
	case errors.Is(err, syscall.EROFS):
		return "make " + dir + " writable"
	case errors.Is(err, fs.ErrNotExist):
		return "create " + dir
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("let uid %d write to %s", os.Geteuid(), dir)
	}
	return ""
}

// listenAbstract publishes a socket without a file. A client that connects between
// bind and listen is refused. Nothing can be done about that.
func (w *window) listenAbstract() (*unixsock.Listener, error) {
	ln, err := unixsock.Listen(w.home.path)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s; end its owner or set SocketPath", ErrPathInUse, w.home.path)
	}
	if err == nil {
		w.guard.own(ln.ID, ln)
	}
	return ln, err
}

// move moves the listening socket from tmp to its path.
func (w *window) move(ln *unixsock.Listener, tmp string) error {
	w.guard.own(ln.ID, ln)
	return unixsock.Move(tmp, w.home.path)
}

// unlink removes the path if it is still our socket, and if this is still the
// process that created it. The caller holds w.mu.
func (w *window) unlink() {
	path := w.home.path
	if !w.home.proc.isThis() || unixsock.IsAbstract(path) {
		return
	}
	err := unixsock.Remove(path, w.ln.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.host.log.Warn("the socket was not removed", "path", path, "err", err)
	}
}
