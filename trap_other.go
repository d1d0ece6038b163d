//go:build !linux || !(amd64 || arm64)

// Package trap does nothing on this system.
package oneshot

import (
	"syscall"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// trap is not written for this system. Its callers use signal.Notify instead.
type trap struct{}

func newTrap([]syscall.Signal) *trap { return nil }

func (*trap) arm(int, string, string) {}
func (*trap) own(unixsock.ID, int)    {}
func (*trap) hold() bool              { return true }
func (*trap) unhold()                 {}
func (*trap) disarm() bool            { return true }
func (*trap) fired() syscall.Signal   { return 0 }
func (*trap) release()                {}

// Disable does nothing: there is no trap.
func Disable() {}
