package oneshot

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/gomanhole/oneshot/internal/guard"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/trap"
)

// TerminatePolicy says what happens when SIGTERM, SIGINT or SIGHUP arrives while a
// window is open. The socket is removed in every case.
type TerminatePolicy int

const (
	// TerminateAuto behaves as if there were no manhole: if the program is
	// subscribed to the signal, it receives the signal; if it is not, it dies of
	// it.
	//
	// On Linux on amd64 and arm64 the package does not change how the signal
	// reaches the program. On other systems, and where C code handles the signal
	// or Go is a library in a C program, the package itself subscribes to the
	// signal while a window is open. That disables the
	// default action, so the package raises the signal again if it has no other
	// subscriber. Where the package cannot find that out (on any system but Linux,
	// or without /proc), it does not raise the signal. It logs a warning, and a
	// second signal ends the program.
	TerminateAuto TerminatePolicy = iota
	// TerminateReraise always raises the signal again. A program that handles the
	// signal receives it twice.
	TerminateReraise
	// TerminateLeave never raises the signal again. A program that does not handle
	// the signal survives the first one.
	TerminateLeave
)

func isTerminating(sig os.Signal) bool {
	for _, t := range sigset.Terminating {
		if sig == t {
			return true
		}
	}
	return false
}

// newGuard prepares the guard of one window. It calls onSignal, on a goroutine of the
// guard, for a signal that arrives while the guard is subscribed to it.
func (m *Manhole) newGuard(onSignal func(syscall.Signal)) *guard.Guard {
	raise := guard.Never
	switch m.opts.Terminate {
	case TerminateAuto:
		raise = guard.IfUnhandled
	case TerminateReraise:
		raise = guard.Always
	}
	return guard.New(guard.Config{Trap: m.trap, Oracle: m.oracle, Raise: raise,
		IsThis: m.instance.Load().proc.isThis, Log: &m.log}, m.endSignals(), onSignal)
}

// setTrap sets the trap on systems that support it, if the policy is TerminateAuto.
func (m *Manhole) setTrap() {
	if m.opts.Terminate == TerminateAuto {
		var sigs []syscall.Signal
		for _, sig := range sigset.Terminating {
			if !m.isManholeSignal(sig) {
				sigs = append(sigs, sig)
			}
		}
		m.trap = trap.New(sigs)
	}
}

// endSignals returns the signals against which a window needs a guard. It leaves out
// ignored signals (nohup, a background job of a shell script): subscribing to one
// would stop it from being ignored.
func (m *Manhole) endSignals() []syscall.Signal {
	var sigs []syscall.Signal
	for _, sig := range sigset.Terminating {
		if !m.isManholeSignal(sig) && !signal.Ignored(sig) && !trap.Ignored(sig) {
			sigs = append(sigs, sig)
		}
	}
	return sigs
}
