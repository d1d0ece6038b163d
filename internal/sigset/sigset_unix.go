//go:build linux || darwin || freebsd

package sigset

import (
	"os"
	"runtime"
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
	case unix.SIGPIPE:
		return "it comes with every write to a connection that the other side has closed"
	case unix.SIGCHLD:
		return "it comes with the end of every child"
	case unix.SIGTERM:
		return "nothing could end the program any more but SIGKILL"
	case unix.SIGQUIT:
		return "it is the last resort: the runtime ends the program with all stacks"
	}
	if sig < 1 || sig > 64 {
		return "there is no such signal"
	}
	return systemNotForUse(sig)
}

// Harmless reports whether a signal does nothing to a Go program that is not subscribed to
// it, if the runtime handles all signals.
func Harmless(sig syscall.Signal) bool {
	return sig == unix.SIGUSR1 || sig == unix.SIGUSR2 || runtime.GOOS == "linux" && sig > sigRTMin && sig <= SigRTMax
}
