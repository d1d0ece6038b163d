//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/procfs"
	"golang.org/x/sys/unix"
)

// How the manhole of a process is opened: the signal it asks for, to nobody else
// and to none that would die of it.

// signalAgain is after what time the signal is sent once more: another client
// may have taken the window that ours has only kept open longer.
const signalAgain = 300 * time.Millisecond

// openAgain sends the signal once more, if the process is what it was and asks
// for it: it may have become another program, or have uninstalled its manhole.
func openAgain(t target, o connectOptions, p *discovery.Process, sent syscall.Signal) error {
	now, err := discovery.Read(p.PID)
	if err != nil || now.Start != p.Start {
		return fmt.Errorf("process %d has ended", p.PID)
	}
	if p.Notice == nil || now.Notice == nil || *now.Notice != *p.Notice || !asksFor(now.Notice, sent) {
		return nil
	}
	_, err = open(t, o, now)
	return err
}

// asksFor reports whether a process says that the signal opens its manhole.
func asksFor(n *discovery.Notice, sig syscall.Signal) bool {
	name := unix.SignalName(sig)
	return n != nil && name != "" && (n.Oneshot == name || n.Activate == name)
}

// open sends the signal that opens the manhole, and returns it; 0: none was to be
// sent.
func open(t target, o connectOptions, p *discovery.Process) (sent syscall.Signal, err error) {
	if p == nil {
		return 0, nil
	}
	if p.Stopped {
		return 0, fmt.Errorf("process %d is stopped (SIGSTOP, or a debugger) and cannot open anything; kill -CONT %d", p.PID, p.PID)
	}
	if o.silent {
		return 0, nil
	}
	sig := o.signal
	if sig == 0 && p.Notice != nil {
		if name := cmp.Or(p.Notice.Oneshot, p.Notice.Activate); name != "" {
			if sig, err = oneshot.ParseSignal(name); err != nil {
				return 0, fmt.Errorf("process %d asks for the signal %.40q, which is none; name one with -s", p.PID, name)
			}
		}
	}
	if sig == 0 {
		return 0, nil
	}
	if err := checkSurvives(p, sig, o.signal != 0); err != nil {
		return 0, err
	}
	// Between the look at the process and the signal its pid may have been given
	// to another; the descriptor tells them apart.
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return 0, fmt.Errorf("process %d: %w", t.pid, os.NewSyscallError("pidfd_open", err))
	}
	if start, startErr := procfs.StartTime("/proc/" + strconv.Itoa(p.PID)); startErr != nil || start != p.Start {
		return 0, fmt.Errorf("process %d has ended", t.pid)
	}
	if err == nil {
		defer unix.Close(fd)
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	} else {
		err = unix.Kill(p.PID, sig)
	}
	if errors.Is(err, unix.EPERM) {
		return 0, fmt.Errorf("process %d: not permitted to send it %s: it belongs to uid %d; become that user, or root", t.pid, signalText(sig), p.EUID)
	}
	if err != nil {
		return 0, fmt.Errorf("process %d: kill: %w", t.pid, err)
	}
	return sig, nil
}

// checkSurvives refuses a signal that would end the process, or that it would
// not hear of. The Go runtime catches nearly every signal and then does what
// would have been done without it, so SigCgt alone does not tell. The notice is
// the word of the process; where that is wrong it would die, so of a signal that
// is meant to end a program the person has to say so too.
func checkSurvives(p *discovery.Process, sig syscall.Signal, named bool) error {
	name := signalText(sig)
	status, err := procfs.ReadStatus("/proc/" + strconv.Itoa(p.PID))
	if err != nil {
		return fmt.Errorf("process %d has ended", p.PID)
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
	case !deadlyInGo(sig):
		return nil
	case asksFor(p.Notice, sig) && named && endsPrograms(sig):
		return nil
	case asksFor(p.Notice, sig) && endsPrograms(sig):
		return fmt.Errorf("process %d asks for %s, of which it dies if it does not listen any more; nothing was sent; if you mean it: -s %s", p.PID, name, name)
	case p.IsGo:
		return fmt.Errorf("process %d, a Go program, may die of %s; nothing was sent", p.PID, name)
	}
	return nil
}

// endsPrograms reports whether a signal is meant to end a program, which may
// handle it otherwise.
func endsPrograms(sig syscall.Signal) bool {
	return sig == unix.SIGHUP || sig == unix.SIGINT || sig == unix.SIGTERM
}

// deadlyInGo reports whether a Go program that is not notified of the signal
// ends (_SigKill and _SigThrow in the runtime's sigtab_linux_generic.go).
func deadlyInGo(sig syscall.Signal) bool {
	switch sig {
	case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
		unix.SIGSEGV, unix.SIGTERM, unix.SIGSTKFLT, unix.SIGSYS, unix.SIGXCPU, unix.SIGXFSZ:
		return true
	}
	return false
}
