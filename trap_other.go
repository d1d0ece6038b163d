//go:build !linux || !(amd64 || arm64)

package oneshot

import (
	"syscall"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// trap is not written for this system; guard falls back to signal.Notify.
type trap struct{}

func newTrap([]syscall.Signal) *trap { return nil }

func (*trap) arm(int, string, string)             {}
func (*trap) own(unixsock.ID, *unixsock.Listener) {}
func (*trap) hold() bool                          { return true }
func (*trap) unhold()                             {}
func (*trap) disarm()                             {}
func (*trap) fired() syscall.Signal               { return 0 }
func (*trap) release()                            {}
