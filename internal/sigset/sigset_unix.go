//go:build linux || darwin || freebsd

package sigset

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Raise sends a signal to this process.
func Raise(sig syscall.Signal) error { return syscall.Kill(os.Getpid(), sig) }

// systemSignalName returns the name of a signal. It returns an empty string if the
// signal has no name.
func systemSignalName(sig syscall.Signal) string { return unix.SignalName(sig) }

// Unusable returns the reason why a manhole cannot use a signal. It returns an empty
// string if it can.
func Unusable(sig syscall.Signal) string {
	switch sig {
	case unix.SIGKILL, unix.SIGSTOP:
		return "it cannot be caught"
	case unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS, unix.SIGABRT:
		return "it means that the program has crashed"
	case unix.SIGURG, unix.SIGPROF:
		return "the Go runtime sends it to itself all the time"
	}
	if sig < 1 || sig > 64 {
		return "there is no such signal"
	}
	return systemNotForUse(sig)
}
