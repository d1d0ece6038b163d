//go:build linux && !oneshot_noproc

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// The functions below open the manhole of a process with a signal: the one that the
// process asks for, sent to that process only, and never one that would end it.

// resendInterval is the time after which the signal is sent again. Another client may
// have taken the window; our signal has only kept that window open longer.
const resendInterval = 300 * time.Millisecond

// openAgain sends the signal again. It does not if the process asks for something
// else now: it may have executed another program, or uninstalled its manhole.
func openAgain(o connectOptions, p *discovery.Process, sent syscall.Signal) error {
	now, err := readProcess(p.PID)
	if err != nil || now.Start != p.Start {
		return errHasEnded(p.PID)
	}
	if p.Notice == nil || now.Notice == nil || *now.Notice != *p.Notice || !asksFor(now.Notice, sent) {
		return nil
	}
	_, err = open(o, now)
	return err
}

// asksFor reports whether the notice of a process says that sig opens its manhole.
func asksFor(n *notice.Notice, sig syscall.Signal) bool {
	name := unix.SignalName(sig)
	return n != nil && name != "" && (n.Oneshot == name || n.Activate == name)
}

// open sends the signal that opens the manhole. It returns the signal, or 0 if it has
// sent none.
func open(o connectOptions, p *discovery.Process) (sent syscall.Signal, err error) {
	if p == nil {
		return 0, nil
	}
	if p.Stopped {
		return 0, fmt.Errorf("process %d is stopped (by SIGSTOP or a debugger) and cannot open its manhole; continue it with kill -CONT %d", p.PID, p.PID)
	}
	if o.noSignal {
		return 0, nil
	}
	sig, err := signalFor(o, p)
	if err != nil || sig == 0 {
		return 0, err
	}
	if err := checkSurvives(p, sig, o.signal != 0); err != nil {
		return 0, err
	}
	if err := send(p, sig); err != nil {
		return 0, err
	}
	return sig, nil
}

// signalFor returns the signal that opens the manhole of p, or 0 if there is none.
func signalFor(o connectOptions, p *discovery.Process) (syscall.Signal, error) {
	if o.signal != 0 || p.Notice == nil {
		return o.signal, nil
	}
	name := cmp.Or(p.Notice.Oneshot, p.Notice.Activate)
	if name == "" {
		return 0, nil
	}
	sig, err := oneshot.ParseSignal(name)
	if err != nil {
		return 0, fmt.Errorf("process %d asks for the unknown signal %.40q; give one with -s", p.PID, name)
	}
	return sig, nil
}

// send sends a signal to a process, and to no other process that has got the same pid
// since p was read.
func send(p *discovery.Process, sig syscall.Signal) error {
	fd, openErr := unix.PidfdOpen(p.PID, 0)
	if openErr == nil {
		defer unix.Close(fd)
	} else if !errors.Is(openErr, unix.ENOSYS) && !errors.Is(openErr, unix.EPERM) {
		return fmt.Errorf("process %d: %w", p.PID, os.NewSyscallError("pidfd_open", openErr))
	}
	// Another process may have got the pid before pidfd_open. After it, the descriptor
	// stays with one process.
	if start, err := procfs.StartTime("/proc/" + strconv.Itoa(p.PID)); err != nil || start != p.Start {
		return errHasEnded(p.PID)
	}
	var err error
	if openErr == nil {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	} else {
		err = unix.Kill(p.PID, sig)
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("process %d: not permitted to send %s: the process belongs to uid %d; become that user, or root", p.PID, signalText(sig), p.EUID)
	case err != nil:
		return fmt.Errorf("process %d: kill: %w", p.PID, err)
	}
	return nil
}

// checkSurvives returns an error for a signal that would end the process, or that the
// process ignores. named is true if the person has named the signal.
//
// SigCgt alone is not enough: the Go runtime catches nearly every signal, and then
// does what the default action would have done. The notice says which signals the
// process listens to. If the notice is wrong, such a signal ends the process. So a
// signal that usually ends programs must be named by the person too.
func checkSurvives(p *discovery.Process, sig syscall.Signal, named bool) error {
	name := signalText(sig)
	status, err := procfs.ReadStatus("/proc/" + strconv.Itoa(p.PID))
	if err != nil {
		return errHasEnded(p.PID)
	}
	ignored, err1 := status.Mask("SigIgn")
	caught, err2 := status.Mask("SigCgt")
	bit := uint64(1) << (sig - 1)
	switch {
	case err1 != nil || err2 != nil:
		return fmt.Errorf("process %d: %w", p.PID, errors.Join(err1, err2))
	case ignored&bit != 0:
		return fmt.Errorf("process %d ignores %s; nothing was sent", p.PID, name)
	case caught&bit == 0:
		return fmt.Errorf("process %d does not catch %s, which would end or stop it; nothing was sent", p.PID, name)
	case !endsGoPrograms(sig):
		return nil
	case asksFor(p.Notice, sig) && named && usuallyEndsPrograms(sig):
		return nil
	case asksFor(p.Notice, sig) && usuallyEndsPrograms(sig):
		return fmt.Errorf("process %d asks for %s, but that ends the process if it does not listen to it any more; nothing was sent; to send it anyway, use -s %s", p.PID, name, name)
	case p.IsGo, p.Unread != nil:
		return fmt.Errorf("process %d is %s, which %s may end; nothing was sent", p.PID, kind(p), name)
	}
	return nil
}

// kind says what a process is, if that is known.
func kind(p *discovery.Process) string {
	if p.IsGo {
		return "a Go program"
	}
	return "perhaps a Go program"
}

// usuallyEndsPrograms reports whether the purpose of a signal is to end a program. A
// program may use it for something else.
func usuallyEndsPrograms(sig syscall.Signal) bool {
	return sig == unix.SIGHUP || sig == unix.SIGINT || sig == unix.SIGTERM
}

// endsGoPrograms reports whether a signal ends a Go program that does not listen to it
// (_SigKill and _SigThrow in the runtime's sigtab_linux_generic.go).
func endsGoPrograms(sig syscall.Signal) bool {
	switch sig {
	case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
		unix.SIGSEGV, unix.SIGTERM, unix.SIGSTKFLT, unix.SIGSYS, unix.SIGXCPU, unix.SIGXFSZ:
		return true
	}
	return false
}
