//go:build darwin || freebsd

package unixsock

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func newSocket(kind int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
	return prepared(fd, err)
}

// prepared makes a new descriptor close-on-exec and non-blocking, and returns it. The
// caller holds ForkLock.
func prepared(fd int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// restrictSocket does nothing: here fchmod does not work on a socket.
func restrictSocket(int) error { return nil }

// platformCalls has nothing: all calls are those of every system.
type platformCalls struct{}

var platformKernel platformCalls

// chmodSocket changes the mode of the socket at path.
func chmodSocket(path string, mode fs.FileMode) error {
	if err := unix.Fchmodat(unix.AT_FDCWD, path, uint32(mode), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

func acceptFD(ln int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, _, err := unix.Accept(ln) // does not block, since the listener is non-blocking
	return prepared(fd, err)
}

// pinnedDead is DeadAt: here no descriptor of a socket's file can be opened.
func pinnedDead(path string) (dead fs.FileInfo, unpin func(), err error) {
	dead, err = DeadAt(path)
	return dead, func() {}, err
}

// Move moves our socket from tmp to path. It replaces only a socket on which no
// process listens.
func Move(tmp, path string) error { return moveAfterLook(tmp, path) }

// Write writes to a socket. If the client is gone, the kernel sends SIGPIPE, which the
// runtime catches for descriptors other than 1 and 2.
func Write(fd uintptr, p []byte) (int, error) { return unix.Write(int(fd), p) }
