package unixsock

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func newSocket(kind int) (int, error) {
	return unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// restrictSocket sets the mode of the socket before it is bound. bind gives the file
// the mode of the socket (unix_bind_bsd in net/unix/af_unix.c), so the file never has
// a wider mode.
func restrictSocket(fd int) error { return sys().Fchmod(fd, 0o600) }

// platformCalls are the system calls that only Linux has, or that only Linux allows on
// a socket.
type platformCalls struct {
	Fchmod    func(fd int, mode uint32) error
	Renameat2 func(from, to string, flags uint) error
}

var platformKernel = platformCalls{
	Fchmod: unix.Fchmod,
	Renameat2: func(from, to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
	},
}

func acceptFD(ln int) (int, error) {
	fd, _, err := syscall.Accept4(ln, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return fd, err
}

// Move moves our socket from tmp to path. It replaces only a socket on which no
// process listens, and never removes another file: a file that appears at path
// between the check and the move stays there, or is put back.
func Move(tmp, path string) error {
	const tries = 4 // another process may be creating files there too
	for range tries {
		switch err := sys().Renameat2(tmp, path, unix.RENAME_NOREPLACE); {
		case err == nil:
			return nil
		case errors.Is(err, unix.EEXIST):
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			// The file system does not know the flags (NFS does not), or a
			// seccomp profile does not know the system call.
			return moveAfterLook(tmp, path)
		default:
			return &os.LinkError{Op: "rename", Old: tmp, New: path, Err: err}
		}
		dead, err := DeadAt(path)
		if err != nil {
			return err
		}
		if dead == nil {
			continue // it was removed in the meantime
		}
		switch err := sys().Renameat2(tmp, path, unix.RENAME_EXCHANGE); {
		case errors.Is(err, unix.ENOENT):
			continue // the same
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return moveAfterLook(tmp, path) // some file systems know only RENAME_NOREPLACE
		case err != nil:
			return &os.LinkError{Op: "replace the dead socket", Old: tmp, New: path, Err: err}
		}
		if got, err := sys().Lstat(tmp); err == nil && same(got, dead) {
			return os.NewSyscallError("unlink", sys().Unlink(tmp))
		}
		err = sys().Renameat2(tmp, path, unix.RENAME_EXCHANGE)
		if errors.Is(err, unix.ENOENT) { // somebody has removed ours
			err = sys().Renameat2(tmp, path, unix.RENAME_NOREPLACE)
		}
		if err != nil {
			return &os.LinkError{Op: "put back what is not ours", Old: tmp, New: path, Err: err}
		}
	}
	return fmt.Errorf("%w: %s keeps changing", ErrInUse, path)
}

// Write writes to a socket without causing SIGPIPE, since the program may be notified
// of that signal.
func Write(fd uintptr, p []byte) (int, error) {
	return syscall.SendmsgN(int(fd), p, nil, nil, unix.MSG_NOSIGNAL)
}
