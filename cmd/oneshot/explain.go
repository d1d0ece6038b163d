//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/discovery"
)

// explainProcess returns the error for a process that cannot be read.
func explainProcess(t target, p *discovery.Process, err error) error {
	switch {
	case errors.Is(err, discovery.ErrThread):
		return err
	case errors.Is(err, discovery.ErrNoProcess):
		return fmt.Errorf("there is no process %d; oneshot ps lists the processes with a manhole", t.pid)
	case errors.Is(err, discovery.ErrNotPermitted) && p != nil && p.EUID != os.Geteuid() && os.Geteuid() != 0:
		return fmt.Errorf("process %d belongs to another user: %w; become that user, or root", t.pid, err)
	case errors.Is(err, discovery.ErrNotPermitted):
		return fmt.Errorf("%w: this process can be read only with CAP_SYS_PTRACE (its program file is not readable or set-user-ID, or it is in a container)", err)
	}
	return err
}

// explainDial returns the error for a socket that refuses connections for good.
func explainDial(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("not permitted to connect to %s: it belongs to another user; become that user, or root", path)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%s is not the socket of a manhole", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// explainAbsence returns the error for a socket that did not appear, or that has no
// listener. err is the error of the last attempt.
func (c *connector) explainAbsence(err error) error {
	p := c.process
	switch {
	case c.sent != 0:
		return statusError{statusTimeout, fmt.Errorf("%s was sent %s, but %s did not appear within %v; %s",
			c.target, signalText(c.sent), c.path, c.options.timeout, c.adviceAfterSignal())}
	case c.options.noSignal:
		return statusError{statusTimeout, fmt.Errorf("%s: nobody listened within %v (%v)", c.path, c.options.timeout, systemError(err))}
	case p == nil:
		return fmt.Errorf("%s: nobody listens there (%v), and the path does not tell which process to send a signal to", c.path, systemError(err))
	}
	who := fmt.Sprintf("process %d (%s)", p.PID, p.Name)
	switch {
	case p.Ended:
		return fmt.Errorf("%s has ended, but its parent has not waited for it yet", who)
	case p.Notice != nil:
		return fmt.Errorf("no signal opens the manhole of %s, and it is not open now; write the pid into its trigger file, or open it in the program", who)
	case !p.IsGo:
		return fmt.Errorf("%s is not a Go program, or its file is not readable; no signal was sent, because it might end the process", who)
	case !p.Linked:
		return fmt.Errorf("%s is a Go program without a manhole: it does not import github.com/gomanhole/oneshot; no signal was sent", who)
	}
	return fmt.Errorf("%s imports the package, but has no manhole installed, or shows no notice of it; no signal was sent; if you know the signal, give it with -s", who)
}

// adviceAfterSignal says why a signal may not have opened the manhole.
func (c *connector) adviceAfterSignal() string {
	switch n := c.process.Notice; {
	case n == nil:
		return "it shows no notice of a manhole; does it use another signal or another path?"
	case !asksFor(n, c.sent):
		return "its notice asks for " + cmp.Or(n.Oneshot, n.Activate, "no signal")
	}
	return "its log says why; -t waits longer"
}

// systemError returns the error of the system without the operation and the
// addresses.
func systemError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// signalText returns the name of a signal.
func signalText(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
