//go:build !linux || !(amd64 || arm64)

// Package trap does nothing on this system.
package trap

import (
	"syscall"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Trap is not written for this system. Its callers use signal.Notify instead.
type Trap struct{}

func New([]syscall.Signal) *Trap { return nil }

func (*Trap) Arm(int, string, string) bool { return true }
func (*Trap) Own(unixsock.ID, int)         {}
func (*Trap) Hold() bool                   { return true }
func (*Trap) Unhold()                      {}
func (*Trap) Disarm() bool                 { return true }
func (*Trap) Fired() syscall.Signal        { return 0 }
func (*Trap) Release()                     {}

// Disable does nothing: there is no trap.
func Disable() {}
