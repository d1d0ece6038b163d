//go:build linux || darwin || freebsd

package dump

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// FullPipe reports whether a descriptor is a pipe without free space. A write to
// such a pipe waits.
func FullPipe(fd int) bool {
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return false
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 0
}
