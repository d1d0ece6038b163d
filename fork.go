package oneshot

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// home is a process and the path of its sockets.
type home struct {
	proc      identity
	path      string
	greeting  []byte    // the first line of the banner
	notBefore time.Time // no socket is created earlier (ReinstallDelay)
}

// errForked is the reason why a forked child drops its parent's window.
var errForked = errors.New("it is the window of the process that was forked")

// newHome returns the home of this process. If a socket of an earlier image of this
// process exists at the path, no socket is created for delay: the process has
// called exec with a window open, and may do so again at once.
func newHome(pattern string, delay time.Duration) (*home, error) {
	h := &home{proc: thisProcess()}
	h.greeting = greeting(h.proc.pid)
	var err error
	if h.path, err = socketPath(pattern, h.proc.pid); err != nil {
		return nil, err
	}
	if strings.Contains(pattern, "%p") && !unixsock.IsAbstract(h.path) && leftBehind(h.path) {
		h.wait(delay)
	}
	return h, nil
}

// wait postpones the creation of a socket by d from now.
func (h *home) wait(d time.Duration) { h.notBefore = time.Now().Add(d) }

// leftBehind reports whether there is a socket of this user at path on which nobody
// listens.
func leftBehind(path string) bool {
	dead, err := unixsock.DeadAt(path)
	return err == nil && dead != nil && unixsock.OwnedBy(dead, os.Geteuid())
}

// moveIn makes the manhole belong to this process, if this process was forked
// without exec from the one that installed it. Such a child has a copy of all the
// memory, and needs its own path. The caller holds m.mu.
func (m *Manhole) moveIn() error {
	if m.home.Load().proc.isThis() {
		return nil
	}
	h, err := newHome(m.opts.SocketPath, 0)
	if err != nil {
		m.log.Error("no window in the forked process", "err", err)
		return err
	}
	h.wait(m.opts.ReinstallDelay)
	if m.win != nil {
		m.win.shut(errForked)
		m.win = nil
	}
	m.home.Store(h)
	return nil
}
