package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Why a window was shut.
var (
	errTaken       = errors.New("another client has entered")
	errUninstalled = errors.New("the manhole was uninstalled")
	errNobodyCame  = fmt.Errorf("nobody came within the connect timeout: %w", os.ErrDeadlineExceeded)
)

// closedBy is the reason of a window that a signal closed.
type closedBy struct{ sig os.Signal }

func (c closedBy) Error() string { return "closed by " + signalName(c.sig) }

// window is one time during which the socket exists. Its goroutine (run) is
// the only one that publishes and accepts; any other may extend or shut it.
type window struct {
	m    *Manhole
	done chan struct{} // closed when run and what it started have ended, but for the session
	over chan struct{} // closed by shut
	next *window       // guarded by m.mu: asked for while this one was being shut

	session *session // who entered; to be read once done is closed

	mu       sync.Mutex // guards what follows
	deadline time.Time
	ln       *net.UnixListener // nil: not published yet
	own      fs.FileInfo       // the socket's file
	reason   error             // why it was shut; nil: it is not
}

func (m *Manhole) newWindow() *window {
	return &window{m: m, done: make(chan struct{}), over: make(chan struct{})}
}

// extend starts the timeout again; false if the window is shut.
func (w *window) extend() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return false
	}
	w.deadline = time.Now().Add(w.m.opts.ConnectTimeout)
	if w.ln != nil {
		_ = w.ln.SetDeadline(w.deadline)
	}
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
		turnAway(w.ln, "oneshot: too late, the window is closed: "+reason.Error()+"\n")
		_ = w.ln.Close()
	}
	return true
}

// why is the reason of a window that was shut.
func (w *window) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// wait waits until everything of a shut window has ended. It gives up on an
// Authorize that does not return.
func (w *window) wait() {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-w.done:
	case <-t.C:
		w.m.log.error("a window does not end; does Authorize block?")
	}
}

// run is the life of the window.
func (w *window) run() {
	m := w.m
	if !w.delay() {
		return
	}
	g := m.newGuard(func(sig syscall.Signal) { w.shut(closedBy{sig}) })
	if err := w.publish(); err != nil {
		m.log.error("no window", "path", m.path, "err", err)
	} else {
		w.admit()
	}
	g.leave()
}

// delay waits for the end of ReinstallDelay; false if the window is shut by then.
func (w *window) delay() bool {
	if d := time.Until(w.m.notBefore); d > 0 {
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

// publish makes the socket appear at the path, listening, with mode 0600 and
// with a deadline. Any failure shuts the window.
func (w *window) publish() (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return w.reason
	}
	defer func() {
		if err != nil {
			w.reason = err
			close(w.over)
		}
	}()
	ln, tmp, err := listenNear(w.m.path)
	if err != nil {
		return err
	}
	own, err := os.Lstat(tmp)
	if err == nil {
		err = moveSocket(tmp, w.m.path)
	}
	if err != nil {
		_ = syscall.Unlink(tmp)
		_ = ln.Close()
		return err
	}
	w.ln, w.own = ln, own
	w.deadline = time.Now().Add(w.m.opts.ConnectTimeout)
	return ln.SetDeadline(w.deadline)
}

// tmpSuffix tells the temporary name of a socket from its path. oneshot's
// names are not to be guessed, or another user could be there first.
func tmpSuffix(n uint32) string { return fmt.Sprintf(".%06x", n&0xffffff) }

// listenNear makes a listening socket beside path, under a temporary name.
func listenNear(path string) (*net.UnixListener, string, error) {
	config := net.ListenConfig{Control: restrictMode}
	for tries := 0; ; tries++ {
		tmp := path + tmpSuffix(rand.Uint32())
		ln, err := config.Listen(context.Background(), "unix", tmp)
		if errors.Is(err, syscall.EADDRINUSE) && tries < 8 {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		unixListener := ln.(*net.UnixListener)
		unixListener.SetUnlinkOnClose(false)
		if err := restrictFile(tmp); err != nil {
			_ = syscall.Unlink(tmp)
			_ = ln.Close()
			return nil, "", err
		}
		return unixListener, tmp, nil
	}
}

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

// moveAfterLook is moveSocket where the file system cannot do it in one step.
func moveAfterLook(tmp, path string) error {
	if _, err := deadSocketAt(path); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// unlink removes the path if it is still our socket and we are still the
// process that made it. The caller holds w.mu.
func (w *window) unlink() {
	m := w.m
	if !m.proc.isThis() {
		return
	}
	info, err := os.Lstat(m.path)
	if err == nil && os.SameFile(info, w.own) {
		err = syscall.Unlink(m.path)
	} else if err == nil {
		err = errors.New("something else stands there now; it is left alone")
	}
	if err != nil {
		m.log.warn("the socket was not removed", "path", m.path, "err", err)
	}
}

// admit logs the window and accepts until the first authorized client, whose
// session it starts, or until the window is shut.
func (w *window) admit() {
	m := w.m
	m.log.info("window open", "path", m.path, "timeout", m.opts.ConnectTimeout)
	for {
		conn, err := w.ln.AcceptUnix()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if w.timedOut() {
				m.log.info("window closed", "path", m.path, "reason", errNobodyCame)
				return
			}
			continue
		case errors.Is(err, net.ErrClosed):
			m.log.info("window closed", "path", m.path, "reason", w.why())
			return
		case err != nil:
			// Out of descriptors, as a rule; the client goes on waiting.
			m.log.error("cannot accept a client, trying again", "path", m.path, "err", err)
			w.pause(100 * time.Millisecond)
			continue
		}
		cred, err := m.authorize(conn)
		if err != nil {
			m.refuse(conn, cred, err)
			continue
		}
		s, err := m.newSession(conn, cred)
		if err != nil {
			m.refuse(conn, cred, err)
			continue
		}
		if !w.shut(errTaken) {
			m.refuse(conn, cred, w.why())
			m.forget(s)
			return
		}
		w.session = s
		go s.run()
		return
	}
}

// timedOut shuts the window unless a signal has just extended it.
func (w *window) timedOut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !time.Now().Before(w.deadline) && w.shutLocked(errNobodyCame)
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
func (m *Manhole) refuse(conn *net.UnixConn, cred Cred, why error) {
	m.log.warn("client refused", "path", m.path, "pid", cred.PID, "uid", cred.UID, "gid", cred.GID, "err", why)
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(conn, "oneshot: refused: %v\n", why)
	_ = conn.Close()
}
