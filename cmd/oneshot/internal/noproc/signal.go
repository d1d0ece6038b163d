//go:build unix

package noproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// Send sends a signal to a process. With 0 it only checks that this is possible.
func Send(pid int, sig syscall.Signal) error {
	switch err := unix.Kill(pid, sig); {
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("there is no process %d", pid)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("process %d belongs to another user; become that user, or root", pid)
	case err != nil:
		return fmt.Errorf("process %d: kill: %w", pid, err)
	}
	return nil
}

// CheckSignal returns an error for a signal that would harm a process. table is what Table
// has returned. known is false if it does not say whether the process catches the signal.
//
// Only SIGUSR1 and SIGUSR2 are sent: they do nothing to a Go program that does not listen to
// them, although its runtime catches them. To process 1 of FreeBSD they mean to halt, and to
// switch the machine off.
func CheckSignal(sig syscall.Signal, pid int, table string) (known bool, err error) {
	name := sigset.Name(sig)
	switch {
	case sig != syscall.SIGUSR1 && sig != syscall.SIGUSR2:
		return false, fmt.Errorf("without /proc it is not known whether process %d listens to %s, so it was not sent; if you are sure, type: kill -s %s %[1]d && oneshot -n %[1]d",
			pid, name, strings.TrimPrefix(name, "SIG"))
	case pid == 1:
		return false, fmt.Errorf("process 1 starts and stops the system, and is no Go program here; %s was not sent", name)
	}
	caught, known := caughtBy(table, sig, pid)
	if known && !caught {
		return true, fmt.Errorf("process %d does not catch %s, which would probably end it; nothing was sent", pid, name)
	}
	return known, nil
}

// caughtBy reports whether a process catches a signal. It is known only if the table is right
// about this process itself, which is a Go program and catches nearly every signal.
func caughtBy(table string, sig syscall.Signal, pid int) (caught, known bool) {
	ours, err1 := maskIn(table, os.Getpid())
	theirs, err2 := maskIn(table, pid)
	return theirs.Has(sig), err1 == nil && err2 == nil && ours.Has(sig)
}

// maskIn returns the mask in the line of a process.
func maskIn(table string, pid int) (sigset.Set, error) {
	for line := range strings.Lines(table) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == strconv.Itoa(pid) {
			mask, err := strconv.ParseUint(words[1], 16, 64)
			return sigset.Set(mask), err
		}
	}
	return 0, fmt.Errorf("ps does not list process %d", pid)
}

// Table returns the pids of a process and of this one, with the signals that they catch, as
// ps prints them, or "" if it does not. The system has no other common way to ask for them.
func Table(pid int) string {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// Each column has its own flag: to the ps of the BSDs, what follows = is the heading, with commas.
	out, err := exec.CommandContext(ctx, "/bin/ps", "-o", "pid=", "-o", "caught=", "-p", fmt.Sprintf("%d,%d", os.Getpid(), pid)).Output()
	if err != nil {
		return ""
	}
	return string(out)
}
