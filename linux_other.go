//go:build !linux

package oneshot

import (
	"os"
	"time"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// identity identifies the process that installed the manhole.
type identity struct{ pid int }

func thisProcess() identity { return identity{pid: os.Getpid()} }

func (id identity) isThis() bool { return os.Getpid() == id.pid }

// uptime returns 0: the start time is not known on these systems.
func (identity) uptime() time.Duration { return 0 }

// blockSignals does nothing. Without the C library, only Linux has a system call
// for it.
func blockSignals(sigset.Set) (restore func()) { return func() {} }
