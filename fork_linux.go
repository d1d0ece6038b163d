package oneshot

import (
	"os"
	"time"

	"github.com/gomanhole/oneshot/internal/procfs"
	"golang.org/x/sys/unix"
)

// identity is the process that installed the manhole. A child that was forked
// without an exec (from C, or by a tracer) shares our memory, and must not
// touch the parent's socket.
type identity struct {
	pid   int
	start uint64 // clock ticks after the boot, 0 where /proc does not say
}

func thisProcess() identity {
	start, err := procfs.StartTime("/proc/self")
	if err != nil {
		start = 0
	}
	return identity{pid: os.Getpid(), start: start}
}

// isThis reports whether the caller runs in that process. The pid is enough:
// parent and child are both alive when it matters.
func (id identity) isThis() bool { return os.Getpid() == id.pid }

// ticksPerSecond is USER_HZ, the unit of times in /proc: 100 on every
// architecture that Go runs on (time(7)).
const ticksPerSecond = 100

// uptime is how long the process has been running, 0 if that is not known.
func (id identity) uptime() time.Duration {
	var now unix.Timespec
	if id.start == 0 || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano()) - time.Duration(id.start)*(time.Second/ticksPerSecond)
}
