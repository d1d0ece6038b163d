package unixsock

import (
	"errors"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Dup2 makes descriptor to a duplicate of from, as dup2(2) does.
func Dup2(from, to int) error { return unix.Dup3(from, to, 0) }

// GrowPipe asks the kernel for a pipe of size bytes. The kernel may refuse
// (F_SETPIPE_SZ in fcntl(2)).
func GrowPipe(fd, size int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, size) }

// mayBeShared reports whether another process may have the descriptors of this one: a
// child that was forked without exec, or a child of such a child, which may have outlived
// it. A process without children that has never waited for one has none of them. If it
// ignores SIGCHLD, the kernel does not say whether it had some.
func mayBeShared() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil) // collects no status
	if !errors.Is(err, unix.ECHILD) || signal.Ignored(unix.SIGCHLD) {
		return true
	}
	var ended unix.Rusage
	return unix.Getrusage(unix.RUSAGE_CHILDREN, &ended) != nil || ended.Maxrss > 0
}
