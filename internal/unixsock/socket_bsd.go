//go:build darwin || freebsd

package unixsock

import (
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

// prepared is a new descriptor, close-on-exec and not blocking. The caller
// holds ForkLock.
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

// restrictSocket can do nothing here: fchmod does not work on a socket.
func restrictSocket(int) error { return nil }

func restrictFile(path string) error { return os.Chmod(path, 0o600) }

func acceptFD(ln int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, _, err := unix.Accept(ln) // it does not block: the listener does not
	return prepared(fd, err)
}

func Move(tmp, path string) error { return MoveAfterLook(tmp, path) }

// Write: the runtime catches SIGPIPE for descriptors other than 1 and 2.
func Write(fd uintptr, p []byte) (int, error) { return unix.Write(int(fd), p) }
