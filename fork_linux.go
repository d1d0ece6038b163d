package oneshot

import (
	"os"
	"time"

	"github.com/gomanhole/oneshot/internal/procfs"
)

// identity identifies the process that installed the manhole. A child that was
// forked without exec (from C, or by a tracer) starts with a copy of its memory,
// and must not touch the parent's socket.
type identity struct {
	pid   int
	start uint64 // clock ticks after boot; 0 if /proc does not say
}

func thisProcess() identity {
	start, err := procfs.StartTime("/proc/self")
	if err != nil {
		start = 0
	}
	return identity{pid: os.Getpid(), start: start}
}

// isThis reports whether the caller runs in that process. Comparing the pid is
// enough: when it matters, parent and child are both alive.
func (id identity) isThis() bool { return os.Getpid() == id.pid }

// uptime returns how long the process has been running, or 0 if that is not known.
func (id identity) uptime() time.Duration { return procfs.Uptime(id.start) }
