package oneshot

import (
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
