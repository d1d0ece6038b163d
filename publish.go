package oneshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How the socket of a window comes to its path and leaves it.

// publish makes the socket appear at the path, listening, with mode 0600 and
// with a deadline. Any failure shuts the window.
func (w *window) publish() (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return w.reason
	}
	tmp, path := w.home.path+tmpSuffix(rand.Uint32()), w.home.path
	if isAbstract(path) { // there is no file, and nothing to move or remove
		tmp, path = "", ""
	}
	w.guard.arm(w.home.proc.pid, path, tmp)
	var ln *listener
	err = os.ErrClosed // if a signal has come already
	if w.guard.hold() {
		if tmp == "" {
			ln, err = w.listenAbstract()
		} else if ln, err = listenAt(tmp); err == nil {
			err = w.move(ln, tmp)
		}
	}
	w.guard.unhold()
	if err != nil {
		if ln != nil {
			if tmp != "" {
				_ = w.removeOwn(tmp) // what was exchanged for it stays if it could not be put back
			}
			ln.close()
		}
		w.guard.disarm()
		if sig := w.guard.fired(); sig != 0 {
			err = closedBy{sig} // which has removed the socket on its way
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

// nextStep is what helps against a lack that the system tells of; empty: the
// error itself says it.
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

// isAbstract reports whether a socket path is a name in the abstract namespace
// (unix(7)), which has no files. Whoever knows the name can connect; who may
// enter is decided afterwards, as ever.
func isAbstract(path string) bool { return strings.HasPrefix(path, "@") }

// listenAbstract publishes a socket without a file. Between bind and listen a
// client would be refused, for which there is no remedy.
func (w *window) listenAbstract() (*listener, error) {
	ln, err := listenAt(w.home.path)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s; end its owner or set SocketPath", ErrPathInUse, w.home.path)
	}
	if err == nil {
		w.guard.own(inode{}, ln)
	}
	return ln, err
}

// move gives the listening socket at tmp its path.
func (w *window) move(ln *listener, tmp string) error {
	own, mode, err := inodeAt(tmp)
	w.own = own
	if err == nil && mode != 0o600 { // a peculiar umask takes from the owner too
		err = os.Chmod(tmp, 0o600)
	}
	if err != nil {
		return err
	}
	w.guard.own(own, ln)
	return moveSocket(tmp, w.home.path)
}

// tmpSuffix tells the temporary name of a socket from its path. It is not to
// be guessed, or another user could be there first.
func tmpSuffix(n uint32) string { return fmt.Sprintf(".%06x", n&0xffffff) }

// deadSocketAt returns the socket at path if nobody listens on it, nil if
// nothing is there, and an error that says what to do about anything else.
func deadSocketAt(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is not a socket but a %s; remove it or set SocketPath", path, kindOf(info))
	}
	inUse, err := socketInUse(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s is a socket of somebody else: %w; remove it or set SocketPath", path, err)
	}
	if inUse {
		return nil, fmt.Errorf("%w: %s; end its owner or set SocketPath", ErrPathInUse, path)
	}
	return info, nil
}

func kindOf(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "regular file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symbolic link"
	case fs.ModeNamedPipe:
		return "named pipe"
	}
	return "device"
}

// moveAfterLook is moveSocket where the file system cannot do it in one step. A
// dead socket is removed first; to link fails where something stands, be it since
// a moment ago, and rename would overwrite that.
func moveAfterLook(tmp, path string) error {
	dead, err := deadSocketAt(path)
	if err != nil {
		return err
	}
	if dead != nil {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, dead) {
			_ = syscall.Unlink(path) // or link fails
		}
	}
	err = os.Link(tmp, path)
	switch {
	case err == nil:
		_ = syscall.Unlink(tmp) // it has just been made there
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s: somebody else is putting things there", ErrPathInUse, path)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP):
		return os.Rename(tmp, path) // it knows no links
	}
	return err
}

// unlink removes the path if it is still our socket and we are still the
// process that made it. The caller holds w.mu.
func (w *window) unlink() {
	path := w.home.path
	if !w.home.proc.isThis() || isAbstract(path) {
		return
	}
	err := w.removeOwn(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.m.log.warn("the socket was not removed", "path", path, "err", err)
	}
}

// removeOwn removes what stands at path if it is our socket.
func (w *window) removeOwn(path string) error {
	now, _, err := inodeAt(path)
	if err != nil {
		return err
	}
	if now != w.own {
		return errors.New("something else stands there now; it is left alone")
	}
	return syscall.Unlink(path)
}
