//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/gomanhole/oneshot/internal/discovery"
	"golang.org/x/sys/unix"
)

// explainProcess is for a process that cannot be looked at.
func explainProcess(t target, p *discovery.Process, err error) error {
	switch {
	case errors.Is(err, discovery.ErrThread):
		return err
	case errors.Is(err, discovery.ErrNoProcess):
		return fmt.Errorf("there is no process %d; oneshot ps lists those with a manhole", t.pid)
	case errors.Is(err, discovery.ErrNotPermitted) && p != nil && p.EUID != os.Geteuid() && os.Geteuid() != 0:
		return fmt.Errorf("process %d belongs to another user: %w; become that user, or root", t.pid, err)
	case errors.Is(err, discovery.ErrNotPermitted):
		return fmt.Errorf("%w: it may be looked at with CAP_SYS_PTRACE only (a file that may not be read, a set-user-ID program, a container)", err)
	}
	return err
}

// explainDial is for a socket that cannot be connected to.
func explainDial(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("not permitted to connect to %s: it is another user's; become that user, or root", path)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%s is not the socket of a manhole", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// explainAbsence is for a socket that is not there, or dead, in the end.
func explainAbsence(t target, o connectOptions, p *discovery.Process, path string, sent syscall.Signal, err error) error {
	if sent != 0 {
		text := fmt.Sprintf("%s was sent %s, but %s did not come within %v", t, signalText(sent), path, o.timeout)
		switch {
		case p.Notice == nil:
			text += "; it gives no notice of a manhole: is it another signal, or another path?"
		case !asksFor(p.Notice, sent):
			text += "; its notice asks for " + cmp.Or(p.Notice.Oneshot, p.Notice.Activate, "no signal")
		default:
			text += "; its log says why, or -t waits longer"
		}
		return statusError{statusTimeout, errors.New(text)}
	}
	if o.silent {
		return statusError{statusTimeout, fmt.Errorf("%s: nobody listened within %v (%v)", path, o.timeout, unwrapped(err))}
	}
	if p == nil {
		return fmt.Errorf("%s: nobody listens there (%v), and the path names no living process to be sent a signal", path, unwrapped(err))
	}
	who := fmt.Sprintf("process %d (%s)", p.PID, p.Name)
	switch {
	case p.Ended:
		return fmt.Errorf("%s has ended, and its parent has not taken notice", who)
	case p.Notice != nil:
		return fmt.Errorf("%s opens its manhole on no signal, and it is not open now; write the pid into its trigger file, or open it from inside", who)
	case !p.IsGo:
		return fmt.Errorf("%s is not a Go program, or its file cannot be read; no signal was sent, which might end it", who)
	case !p.Linked:
		return fmt.Errorf("%s is a Go program without a manhole: it does not import github.com/gomanhole/oneshot; no signal was sent", who)
	}
	return fmt.Errorf("%s has the package, but no manhole is installed, or it gives no notice; if you know its signal, name it with -s; no signal was sent", who)
}

// unwrapped is the system's own error, without the operation and the addresses.
func unwrapped(err error) error {
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

// shown is untrusted text for a terminal, and shownLine such that has no line
// ends.
func shown(s string) string { return string(appendVisible(nil, []byte(s))) }

func shownLine(s string) string { return strings.ReplaceAll(shown(s), "\n", `\n`) }

// signalText names a signal.
func signalText(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
