//go:build !linux || !(amd64 || arm64)

// Package trap does nothing on this system.
package trap

import (
	"syscall"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Trap does not exist on this system. Its callers use signal.Notify instead.
type Trap struct{}

// New returns nil: there is no trap.
func New([]syscall.Signal) *Trap { return nil }

// Set returns the signals: the trap is in place for none of them.
func (*Trap) Set(sigs []syscall.Signal) []syscall.Signal { return sigs }

// Ignored returns false: signal.Ignored says what the program has ignored.
func Ignored(syscall.Signal) bool { return false }

// Handler returns 0: it is not known.
func Handler(syscall.Signal) uintptr { return 0 }

// Keep calls f.
func Keep(_ syscall.Signal, _ uintptr, f func()) { f() }

// Arm returns true.
func (*Trap) Arm(int, string, string) bool { return true }

// Own does nothing.
func (*Trap) Own(unixsock.ID, int) {}

// Hold returns true.
func (*Trap) Hold() bool { return true }

// Unhold does nothing.
func (*Trap) Unhold() {}

// Disarm returns true.
func (*Trap) Disarm() bool { return true }

// Fired returns 0.
func (*Trap) Fired() syscall.Signal { return 0 }

// Release does nothing.
func (*Trap) Release() {}

// Disable does nothing: there is no trap.
func Disable() {}

// Announce does nothing.
func (*Trap) Announce(...syscall.Signal) {}

// Announced returns 0.
func (*Trap) Announced() syscall.Signal { return 0 }
