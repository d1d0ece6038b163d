package procfs

import (
	"time"

	"golang.org/x/sys/unix"
)

// Uptime returns how long a process has been running, from its StartTime. It is 0 if
// that is not known.
func Uptime(start uint64) time.Duration {
	var now unix.Timespec
	if start == 0 || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano()) - time.Duration(start)*tick
}
