//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/protocol"
)

const (
	// The time between two attempts to connect. Most programs open the window within
	// the first of them. It then grows to the second.
	firstRetry = 100 * time.Microsecond
	lastRetry  = 5 * time.Millisecond
	// welcomeTime is how long a program may take until it sends something.
	welcomeTime = 500 * time.Millisecond
)

// errTooLate is the error of a client that the manhole has turned away because
// another client was faster.
var errTooLate = errors.New("another client was faster")

// form is the form in which a client wants the answers. Its text is how the name of
// the client's own socket begins.
type form string

// refusedError is the error of a client that the manhole has refused, which is logged there.
// Another attempt would end in the same way.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// noFrames is the form of a session, as with nc.
const noFrames form = ""

// frames returns the form for a command.
func frames(wishes protocol.Wishes) form { return form(wishes.Prefix()) }

// connect opens the manhole of a process and connects to it. It has checked the
// process at the other end, and has sent nothing to it except the signal.
func connect(t target, o connectOptions, form form) (*net.UnixConn, error) {
	paths, p, err := t.find(o)
	if err != nil {
		return nil, err
	}
	sent, err := open(o, p)
	if err != nil {
		return nil, err
	}
	if text := unchecked(p, sent, paths); text != "" {
		fmt.Fprintf(os.Stderr, "oneshot: %s\n", display.EscapeLine(text))
	}
	c := connector{target: t, options: o, paths: paths, process: p, form: form, sent: sent}
	return c.connect()
}

// connector connects to a socket that may not exist yet.
type connector struct {
	target  target
	options connectOptions
	paths   []string           // where the socket may be
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
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
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
		time.Sleep(wait)
	}
}

// try connects once and checks who is at the other end. If it fails, retry says
// whether another attempt may succeed. If there is more than one path, somebody else's
// socket at one of them is no reason to stop.
func (c *connector) try() (conn *net.UnixConn, retry bool, err error) {
	for _, path := range c.paths {
		conn, again, failed := c.tryPath(path)
		if failed == nil {
			return conn, false, nil
		}
		if errors.As(failed, new(refusedError)) {
			return nil, false, failed
		}
		if err == nil || !again { // "no such file" says less than any other error
			err = failed
		}
		retry = again || len(c.paths) > 1
	}
	return nil, retry, err
}

func (c *connector) tryPath(path string) (conn *net.UnixConn, retry bool, err error) {
	name, done, err := c.openSocket(path)
	if err == nil {
		conn, err = dial(name, c.form)
		done()
	}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EAGAIN):
		return nil, true, err
	case errors.As(err, new(foreignError)):
		return nil, false, err
	case err != nil:
		return nil, false, explainDial(path, err)
	}
	err = checkPeer(conn, c.process, path)
	if err == nil {
		err = checkWelcome(conn, path, c.form != noFrames, c.deadline)
		if err != nil {
			err = c.explainRefusal(err)
		}
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
func checkWelcome(conn *net.UnixConn, path string, framed bool, deadline time.Time) error {
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
		return statusError{statusTimeout, fmt.Errorf("%s has accepted the connection but does not answer; is the process stuck or stopped?", path)}
	case err != nil: // a program with its own handler may wait for the client to speak first
		return nil
	}
	line, _, _ := strings.Cut(string(text[:max(n, 0)]), "\n")
	switch {
	case strings.HasPrefix(line, protocol.TooLate):
		return errTooLate
	case strings.HasPrefix(line, protocol.Refused):
		return refusedError{errors.New(strings.TrimPrefix(line, "oneshot: "))}
	}
	return nil
}

// dial connects once, to a name that openSocket has returned. The name of a script's own
// socket asks for frames.
func dial(name string, form form) (*net.UnixConn, error) {
	var local *net.UnixAddr
	if form != noFrames {
		own, done, err := ownName(fmt.Sprintf("%s%d.%08x", form, os.Getpid(), rand.Uint32()))
		if err != nil {
			return nil, err
		}
		defer done()
		local = &net.UnixAddr{Net: "unix", Name: own}
	}
	return net.DialUnix("unix", local, &net.UnixAddr{Net: "unix", Name: name})
}
