//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/protocol"
)

const (
	// retryInterval is the time between two attempts to connect.
	retryInterval = 5 * time.Millisecond
	// welcomeTime is how long a program may take until it sends something.
	welcomeTime = 500 * time.Millisecond
)

// errTooLate is the error of a client that the manhole has turned away because
// another client was faster.
var errTooLate = errors.New("another client was faster")

// form is the form in which a client wants the answers. Its text is how the name of
// the client's own socket begins.
type form string

const (
	noFrames     form = "" // a session, as with nc
	binaryFrames form = protocol.SocketPrefix
	textFrames   form = protocol.TextSocketPrefix
)

// connect opens the manhole of a process and connects to it. It has checked the
// process at the other end, and has sent nothing to it except the signal.
func connect(t target, o connectOptions, form form) (*net.UnixConn, error) {
	path, p, err := t.find(o)
	if err != nil {
		return nil, err
	}
	sent, err := open(o, p)
	if err != nil {
		return nil, err
	}
	c := connector{target: t, options: o, path: path, process: p, form: form, sent: sent}
	return c.connect()
}

// connector connects to a socket that may not exist yet.
type connector struct {
	target  target
	options connectOptions
	path    string
	process *discovery.Process // nil if it is not known
	form    form
	sent    syscall.Signal // 0: none

	deadline time.Time // of the whole connect
	resend   time.Time // when to send the signal again
}

// connect tries to connect until it succeeds, fails for good, or the time is over.
// Meanwhile it sends the signal again from time to time.
func (c *connector) connect() (*net.UnixConn, error) {
	now := time.Now()
	c.deadline, c.resend = now.Add(c.options.timeout), now.Add(resendInterval)
	if c.sent == 0 && !c.options.noSignal {
		c.deadline = now // nothing will open a manhole that is not open
	}
	for {
		conn, retry, err := c.try()
		switch {
		case err == nil:
			return conn, nil
		case !retry:
			return nil, err
		case time.Now().After(c.deadline):
			return nil, c.explainTimeout(err)
		}
		if err := c.resendSignal(); err != nil {
			return nil, err
		}
		time.Sleep(retryInterval)
	}
}

// try connects once and checks who is at the other end. If it fails, retry says
// whether another attempt may succeed.
func (c *connector) try() (conn *net.UnixConn, retry bool, err error) {
	conn, err = dial(c.path, c.form)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EAGAIN):
		return nil, true, err
	case err != nil:
		return nil, false, explainDial(c.path, err)
	}
	err = checkPeer(conn, c.process, c.path)
	if err == nil {
		err = checkWelcome(conn, c.form != noFrames, c.deadline)
	}
	if err != nil {
		conn.Close()
		return nil, errors.Is(err, errTooLate), err
	}
	return conn, false, nil
}

// resendSignal sends the signal again if it is time.
func (c *connector) resendSignal() error {
	if c.sent == 0 || time.Now().Before(c.resend) {
		return nil
	}
	c.resend = time.Now().Add(resendInterval)
	return openAgain(c.options, c.process, c.sent)
}

// explainTimeout returns the error for the end of the time. err is the error of the
// last attempt.
func (c *connector) explainTimeout(err error) error {
	if errors.Is(err, errTooLate) {
		return statusError{statusTimeout, fmt.Errorf("%s: %w; try again", c.target, errTooLate)}
	}
	return c.explainAbsence(err)
}

// checkWelcome checks whether the manhole turns the client away. It does so at once,
// with a line of text. checkWelcome takes nothing out of the stream. A script that is
// let in gets an empty frame first.
func checkWelcome(conn *net.UnixConn, framed bool, deadline time.Time) error {
	if soon := time.Now().Add(welcomeTime); !framed || deadline.Before(soon) {
		deadline = soon
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var text [256]byte
	n := 0
	_ = conn.SetReadDeadline(deadline)
	err = raw.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), text[:], unix.MSG_PEEK)
		return !errors.Is(err, unix.EAGAIN)
	})
	_ = conn.SetReadDeadline(time.Time{})
	switch {
	case err != nil && framed:
		return statusError{statusTimeout, fmt.Errorf("%s has accepted the connection but does not answer; is the process stuck or stopped?", conn.RemoteAddr())}
	case err != nil: // a program with its own handler may wait for the client to speak first
		return nil
	}
	line, _, _ := strings.Cut(string(text[:max(n, 0)]), "\n")
	switch {
	case strings.HasPrefix(line, protocol.TooLate):
		return errTooLate
	case strings.HasPrefix(line, protocol.Refused):
		return errors.New(strings.TrimPrefix(line, "oneshot: "))
	}
	return nil
}

// dial connects once. The name of a script's own socket asks for frames.
func dial(path string, form form) (*net.UnixConn, error) {
	var local *net.UnixAddr
	if form != noFrames {
		local = &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@%s%d.%08x", form, os.Getpid(), rand.Uint32())}
	}
	name, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	return net.DialUnix("unix", local, &net.UnixAddr{Net: "unix", Name: name})
}

// shorten returns a name for a path that fits into a socket address (unix(7)). The
// name is valid until done is called.
func shorten(path string) (name string, done func(), err error) {
	const longest = len(unix.RawSockaddrUnix{}.Path) - 1
	if len(path) <= longest || strings.HasPrefix(path, "@") {
		return path, func() {}, nil
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path)), func() { unix.Close(dir) }, nil
}

// checkPeer checks who is at the other end: another user may have created a socket at
// the path. The kernel has recorded the pid and the user that called listen. If the
// process is not known, the socket must belong to our own user.
func checkPeer(conn *net.UnixConn, p *discovery.Process, path string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	switch {
	case controlErr != nil || err != nil:
		return fmt.Errorf("%s: cannot find out who listens there: %w", path, errors.Join(controlErr, err))
	case p != nil && (int(cred.Pid) != p.PID || int(cred.Uid) != p.EUID):
		return fmt.Errorf("the socket %s belongs to pid %d, uid %d, not to process %d, uid %d; nothing was sent",
			path, cred.Pid, cred.Uid, p.PID, p.EUID)
	case p == nil && int(cred.Uid) != os.Geteuid():
		return fmt.Errorf("the socket %s belongs to pid %d, uid %d; nothing was sent; give that pid if you trust the process", path, cred.Pid, cred.Uid)
	}
	return nil
}
