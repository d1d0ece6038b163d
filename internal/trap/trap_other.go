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
