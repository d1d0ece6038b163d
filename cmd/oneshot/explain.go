//go:build linux && !oneshot_noproc

package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// explainProcess returns the error for a process that cannot be read.
func explainProcess(t target, p *discovery.Process, err error) error {
	switch {
	case errors.Is(err, discovery.ErrThread):
		return err
	case errors.Is(err, discovery.ErrNoProcess):
		return fmt.Errorf("there is no process %d; oneshot ps lists the processes with a manhole", t.pid)
	case errors.Is(err, discovery.ErrNotPermitted) && p != nil:
		return explainRights(p, err)
	}
	return err
}

// explainAbsence returns the error for a socket that did not appear, or that has no
// listener. err is the error of the last attempt.
func (c *connector) explainAbsence(err error) error {
	p := c.process
	missing := errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EAGAIN)
	switch {
	case len(c.paths) > 1 && !missing:
		return err
	case c.sent != 0 && p.Unread != nil:
		return statusError{statusTimeout, fmt.Errorf("%s was sent %s, but no socket appeared at %s within %v: %s",
			c.target, signalText(c.sent), strings.Join(c.paths, ", "), c.options.timeout, c.adviceUnread())}
	case c.sent != 0:
		return statusError{statusTimeout, fmt.Errorf("%s was sent %s, but %s did not appear within %v; %s",
			c.target, signalText(c.sent), c.paths[0], c.options.timeout, c.adviceAfterSignal())}
	case c.options.noSignal:
		return statusError{statusTimeout, fmt.Errorf("%s: nobody listened within %v (%v)", strings.Join(c.paths, ", "), c.options.timeout, systemError(err))}
	case p == nil:
		return fmt.Errorf("%s: nobody listens there (%v), and the path does not tell which process to send a signal to", c.paths[0], systemError(err))
	}
	who := fmt.Sprintf("process %d (%s)", p.PID, p.Name)
	switch {
	case p.Ended:
		return fmt.Errorf("%s has ended, but its parent has not waited for it yet", who)
	case p.Unread != nil:
		return explainUnread(p, who)
	case p.TriggerPath() != "":
		return fmt.Errorf("no signal opens the manhole of %s, and it is not open now; it says that writing %d into its trigger file %s opens it%s",
			who, p.InnerPID(), p.TriggerPath(), triggerWarning(p))
	case p.Notice != nil:
		return fmt.Errorf("no signal opens the manhole of %s, and it is not open now; the program opens it itself", who)
	case !p.IsGo:
		return fmt.Errorf("%s is not a Go program, or its file is not readable; no signal was sent, because it might end the process", who)
	case !p.Linked:
		return fmt.Errorf("%s is a Go program without a manhole: it does not import github.com/gomanhole/oneshot; no signal was sent", who)
	}
	return fmt.Errorf("%s imports the package, but has no manhole installed, or shows no notice of it; no signal was sent; if you know the signal, give it with -s", who)
}

// triggerWarning returns a warning for a trigger file that the user of the process has
// not made. A process can name any file, for somebody else to overwrite.
func triggerWarning(p *discovery.Process) string {
	var st unix.Stat_t
	err := unix.Lstat(p.TriggerPath(), &st)
	switch {
	case err != nil:
		return fmt.Sprintf(", but that file cannot be read: %v", err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != p.EUID:
		return "; but that is not a file of its user: do not write to it unless you know that it is a trigger file"
	}
	return ""
}

// explainUnread returns the error for a process of which we may read the status only.
func explainUnread(p *discovery.Process, who string) error {
	a, err := readAccess(p.PID)
	if err != nil {
		return explainRights(p, p.Unread)
	}
	unknown := "So it is not known which signal opens a manhole of " + who + ", and none was sent"
	command := a.wayIn(p, false)
	if command == "" {
		return fmt.Errorf("%w. %s", explainRights(p, p.Unread), unknown)
	}
	reason, _ := a.explain()
	if a.uid == 0 && !a.has(unix.CAP_SYS_PTRACE) {
		reason += "; " + noPtrace
	}
	if strings.HasPrefix(command, "oneshot -2") {
		unknown += "; if the program uses the usual one, type: " + command
	} else {
		unknown += "; type: " + command
	}
	return fmt.Errorf("not permitted to read process %d: %s. %s", p.PID, reason, unknown)
}

// adviceUnread says what to do about a process that we may not read, and whose socket
// did not appear where we looked.
func (c *connector) adviceUnread() string {
	advice := fmt.Sprintf("%v, so its path is not known, and its files may be others than ours (a container); its log has the path", c.process.Unread)
	if a, err := readAccess(c.process.PID); err == nil {
		if command := a.wayIn(c.process, true); command != "" {
			advice += "; type: " + command
		}
	}
	return advice
}

// adviceAfterSignal says why a signal may not have opened the manhole.
func (c *connector) adviceAfterSignal() string {
	switch n := c.process.Notice; {
	case n == nil:
		return "it shows no notice of a manhole; does it use another signal or another path?"
	case !asksFor(n, c.sent):
		return "its notice asks for " + cmp.Or(n.Oneshot, n.Activate, "no signal")
	case n.ByProgram:
		return "its log says why if it has received the signal; otherwise the program (Options.NoReceiver) has not called Wait, or Handle with the signal; -t waits longer; " +
			fmt.Sprintf("oneshot -outside %d reads it without its help", c.process.PID)
	}
	return fmt.Sprintf("its log says why; -t waits longer; oneshot -outside %d reads it without its help", c.process.PID)
}

// explainRefusal adds to the refusal of a program what lets the client in, if that is
// another user namespace.
func (c *connector) explainRefusal(err error) error {
	if c.process == nil || !strings.Contains(err.Error(), protocol.Unmapped) {
		return err
	}
	return fmt.Errorf("%w; type: %s", err, asRootOf(c.process.PID))
}

// unchecked says what the client could not find out about a process before it sent the
// signal, or "".
func unchecked(p *discovery.Process, _ syscall.Signal, paths []string) string {
	if p == nil || p.Unread == nil {
		return ""
	}
	return fmt.Sprintf("%v: not checked that it is a Go program with a manhole; checked are its status and who listens at %s", p.Unread, strings.Join(paths, ", "))
}
