//go:build darwin || freebsd || (linux && oneshot_noproc)

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/noproc"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// resendInterval is the time between two looks at whether the process is still there.
const resendInterval = 300 * time.Millisecond

// open sends the signal that the person has named, and no other one.
func open(o connectOptions, p *discovery.Process) (sent syscall.Signal, err error) {
	if p == nil || o.signal == 0 {
		return 0, nil
	}
	known, err := noproc.CheckSignal(o.signal, p.PID, noproc.Table(p.PID))
	if err != nil {
		return 0, err
	}
	if known {
		p.Unread = fmt.Errorf("%w; ps says that it catches %s", errNoProc, signalText(o.signal))
	}
	return o.signal, noproc.Send(p.PID, o.signal)
}

// openAgain sends no signal: the pid may belong to another process now.
func openAgain(_ connectOptions, p *discovery.Process, _ syscall.Signal) error {
	if noproc.Send(p.PID, 0) != nil {
		return errHasEnded(p.PID)
	}
	return nil
}

// unchecked says what the client could not find out about a process before it sent the
// signal, or "".
func unchecked(p *discovery.Process, sent syscall.Signal, paths []string) string {
	if p == nil || sent == 0 {
		return ""
	}
	return fmt.Sprintf("not checked that process %d is a Go program with a manhole: %v; it was sent %s, and who listens at %s is checked",
		p.PID, p.Unread, signalText(sent), paths[0])
}

// ownName returns the name for the client's own socket. The name is needed until done is
// called.
func ownName(base string) (name string, done func(), err error) { return noproc.OwnName(base) }

// checkPeer checks who is at the other end: another user may have created a socket at the
// path.
func checkPeer(conn *net.UnixConn, p *discovery.Process, path string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer noproc.Peer
	controlErr := raw.Control(func(fd uintptr) {
		peer.PID, peer.UID, _, err = unixsock.Peer(int(fd))
	})
	if controlErr != nil || err != nil {
		return fmt.Errorf("%s: cannot find out who listens there: %w", path, errors.Join(controlErr, err))
	}
	want := 0
	if p != nil {
		want = p.PID
	}
	return noproc.CheckPeer(path, peer, want, os.Geteuid())
}

// explainRefusal returns the error: the program has said why.
func (c *connector) explainRefusal(err error) error { return err }

// explainAbsence returns the error for a socket that did not appear, or that has no
// listener. err is the error of the last attempt.
func (c *connector) explainAbsence(err error) error {
	path := c.paths[0]
	switch {
	case c.sent != 0:
		return statusError{statusTimeout, fmt.Errorf("%s was sent %s, but %s did not appear within %v; its log says why; "+
			"it may have no manhole, or one with another signal or another path: oneshot PATH", c.target, signalText(c.sent), path, c.options.timeout)}
	case c.options.noSignal:
		return statusError{statusTimeout, fmt.Errorf("%s: nobody listened within %v (%v)", path, c.options.timeout, systemError(err))}
	case c.target.pid != 0:
		return fmt.Errorf("%s: nobody listens there (%v), and without /proc it is not known which signal opens the manhole of process %d; "+
			"if the program uses the usual one, type: oneshot -2 %[3]d", path, systemError(err), c.target.pid)
	}
	return fmt.Errorf("%s: nobody listens there (%v); to wait for it while something opens it, type: oneshot -n %[1]s", path, systemError(err))
}
