package oneshot

import (
	"os"
	"time"

	"github.com/gomanhole/oneshot/internal/procfs"
	"golang.org/x/sys/unix"
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

// ticksPerSecond is USER_HZ, the unit of times in /proc. It is 100 on every
// architecture that Go supports (time(7)).
const ticksPerSecond = 100

// uptime returns how long the process has been running, or 0 if that is not known.
func (id identity) uptime() time.Duration {
	var now unix.Timespec
	if id.start == 0 || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano()) - time.Duration(id.start)*(time.Second/ticksPerSecond)
}
