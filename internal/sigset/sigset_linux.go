package sigset

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func systemNotForUse(sig syscall.Signal) string {
	switch {
	case sig == unix.SIGSTKFLT:
		return "it means that the program has crashed"
	case sig >= 32 && sig <= 34:
		return "the C library and the Go runtime keep it for themselves"
	}
	return ""
}

// NeverBlocked are the signals that the runtime leaves unblocked on its signal
// thread whoever listens (blockableSig in the runtime's signal_unix.go, flags
// _SigUnblock, _SigKill and _SigThrow in its sigtab_linux_generic.go, SIGURG
// for preemption), and the two that the kernel never blocks.
var NeverBlocked = Of(
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV,
	syscall.SIGSTKFLT, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF, syscall.SIGSYS, 32, 33, 34,
	syscall.SIGKILL, syscall.SIGSTOP)
