package sigset

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// systemNotForUse returns the reason why a signal of Linux cannot be used. It returns
// an empty string if there is none.
func systemNotForUse(sig syscall.Signal) string {
	switch {
	case sig == unix.SIGSTKFLT:
		return "it means that the program has crashed"
	case sig >= 32 && sig <= 34:
		return "the C library and the Go runtime keep it for themselves"
	}
	return ""
}

// NeverBlocked has the signals that the runtime never blocks on its signal thread, even
// if nobody listens to them: blockableSig in the runtime's signal_unix.go, with the flags
// _SigUnblock, _SigKill and _SigThrow in its sigtab_linux_generic.go. SIGURG is among
// them for preemption. It also has the two signals that the kernel never blocks.
var NeverBlocked = Of(
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV,
	syscall.SIGSTKFLT, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF, syscall.SIGSYS, 32, 33, 34,
	syscall.SIGKILL, syscall.SIGSTOP)
