package oneshot

import (
	"fmt"
	"os/signal"
	"syscall"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// SignalSet is a set of signals. Bit n-1 is signal n, as in the masks that the
// kernel prints in /proc/PID/status (proc(5)), and in the columns pending, blocked,
// ignored and caught of ps.
type SignalSet uint64

// String returns the names of the signals in the order of their numbers, separated
// by commas (SIGHUP,SIGINT,...), or "none". ParseSignalSet parses this text.
func (set SignalSet) String() string { return sigset.Set(set).String() }

// ParseSignal parses a signal: its name with or without SIG, in upper or lower
// case (USR2, SIGUSR2, sigusr2), its number, or on Linux a real-time signal
// counted from either end (SIGRTMIN+3, RTMAX-1).
func ParseSignal(s string) (syscall.Signal, error) { return sigset.Parse(s) }

// ParseSignalSet parses a set of signals: a mask as the kernel prints it
// (0x4b813efb; without the prefix if it has 16 digits or one of a to f), the same
// mask in decimal (1266761467), or names and numbers separated by commas
// (USR1,TERM). A decimal number alone is always a mask, never one signal.
func ParseSignalSet(s string) (SignalSet, error) {
	set, err := sigset.ParseSet(s)
	return SignalSet(set), err
}

// checkSignals returns an error for signals that cannot open a manhole.
func checkSignals(o Options) error {
	if err := sigset.Check("OneshotOn", o.OneshotOn); err != nil {
		return err
	}
	if err := sigset.Check("ActivateOn", o.ActivateOn); err != nil {
		return err
	}
	if err := sigset.Check("ReportOn", o.ReportOn); err != nil {
		return err
	}
	if o.ReportOn != nil && o.ReportOn == o.ActivateOn {
		return fmt.Errorf("oneshot: ReportOn and ActivateOn are the same signal, %s; choose another for one of them", sigset.NameOf(o.ReportOn))
	}
	if o.OneshotOn != nil && o.OneshotOn == o.ActivateOn {
		return fmt.Errorf("%w: %s", ErrConfigurationConflict, sigset.NameOf(o.OneshotOn))
	}
	return nil
}

// mayHear reports whether the program may be subscribed to a signal. The manhole's own
// do not count, nor those of an open window.
func (m *Manhole) mayHear() bool {
	var own sigset.Set
	for _, sig := range m.Signals() {
		if s, ok := sig.(syscall.Signal); ok {
			own |= sigset.Of(s)
		}
	}
	return m.oracle.MayHear(own)
}

// dispositionOf describes what receives a terminating signal. The signal masks in /proc do
// not show that.
func (m *Manhole) dispositionOf(sig syscall.Signal) string {
	if m.window() != nil && !signal.Ignored(sig) {
		return "the manhole handles it while its window is open"
	}
	return m.oracle.Disposition(sig)
}
