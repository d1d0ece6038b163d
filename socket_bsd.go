//go:build darwin || freebsd

package oneshot

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func newSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, unix.SetNonblock(fd, true)
}

// restrictSocket can do nothing here: fchmod does not work on a socket.
func restrictSocket(int) error { return nil }

func restrictFile(path string) error { return os.Chmod(path, 0o600) }

func acceptFD(ln int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, _, err := unix.Accept(ln) // it does not block: the listener does not
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, unix.SetNonblock(fd, true)
}

func moveSocket(tmp, path string) error { return moveAfterLook(tmp, path) }

// writeSocket: the runtime catches SIGPIPE for descriptors other than 1 and 2.
func writeSocket(fd uintptr, p []byte) (int, error) { return unix.Write(int(fd), p) }

func systemNotForUse(syscall.Signal) string { return "" }
