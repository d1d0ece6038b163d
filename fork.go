package oneshot

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/hostpath"
	"github.com/gomanhole/oneshot/internal/socketpath"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// instance is a process and the path of its sockets. A forked child gets its own.
type instance struct {
	proc      identity
	path      string
	fromHost  string    // the path outside of the container; empty if it is the same
	greeting  []byte    // the first line of the banner
	notBefore time.Time // no socket is created earlier (ReinstallDelay)
}

// errForked is the reason why a forked child drops its parent's window.
var errForked = errors.New("the window belongs to the parent process")

// newInstance returns the instance of this process. If a socket of an earlier image of this
// process exists at the path, no socket is created for delay: the process has
// called exec with a window open, and may do so again at once.
func newInstance(pattern string, delay time.Duration) (*instance, error) {
	i := &instance{proc: thisProcess()}
	i.greeting = command.Greeting(i.proc.pid)
	var err error
	if i.path, err = socketpath.Of(pattern, i.proc.pid); err != nil {
		return nil, err
	}
	if !unixsock.IsAbstract(i.path) {
		i.fromHost = hostpath.Of(i.path, i.proc.pid)
	}
	if strings.Contains(pattern, "%p") && !unixsock.IsAbstract(i.path) && hasDeadSocket(i.path) {
		i.wait(delay)
	}
	return i, nil
}

// wait postpones the creation of a socket by d from now.
func (i *instance) wait(d time.Duration) { i.notBefore = time.Now().Add(d) }

// hasDeadSocket reports whether there is a socket of this user at path on which nobody
// listens.
func hasDeadSocket(path string) bool {
	dead, err := unixsock.DeadAt(path)
	return err == nil && dead != nil && unixsock.OwnedBy(dead, os.Geteuid())
}

// adoptAfterFork makes the manhole belong to this process, if this process was forked
// without exec from the one that installed it. Such a child has a copy of all the
// memory, and needs its own path. The caller holds m.mu.
func (m *Manhole) adoptAfterFork() error {
	if m.instance.Load().proc.isThis() {
		return nil
	}
	i, err := newInstance(m.opts.SocketPath, 0)
	if err != nil {
		m.log.Error("no window in the forked process", "err", err)
		return err
	}
	i.wait(m.opts.ReinstallDelay)
	if m.win != nil {
		m.win.shut(errForked)
		m.win = nil
	}
	m.instance.Store(i)
	return nil
}
