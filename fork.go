package oneshot

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// home is a process and where its sockets stand.
type home struct {
	proc      identity
	path      string
	greeting  []byte    // the first line of the banner
	notBefore time.Time // no socket is created earlier (ReinstallDelay)
}

// errForked is why a window is none of a forked child's.
var errForked = errors.New("it is the window of the process that was forked")

// newHome is that of this process. If a socket of an earlier image of it stands
// at the path (it has called exec with a window open, and may do so again at
// once), no other is created for delay.
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

// wait has no socket created until d has passed.
func (h *home) wait(d time.Duration) { h.notBefore = time.Now().Add(d) }

// leftBehind reports whether a socket of this user stands at path that nobody
// listens on.
func leftBehind(path string) bool {
	dead, err := unixsock.DeadAt(path)
	return err == nil && dead != nil && unixsock.OwnedBy(dead, os.Geteuid())
}

// moveIn makes the manhole that of this process, if it was forked without an
// exec from the one that has installed it: it has all of its memory, and needs a
// path of its own. The caller holds m.mu.
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
