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

// restrictSocket sets the mode before the socket is bound: that of the socket
// itself is the mode that bind gives the file (unix_bind_bsd in
// net/unix/af_unix.c), so no moment passes with a wider one.
func restrictSocket(fd int) error { return unix.Fchmod(fd, 0o600) }

func restrictFile(string) error { return nil }

func acceptFD(ln int) (int, error) {
	fd, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return fd, err
}

// Move moves our socket from tmp to path, where nothing may stand but a
// socket that nobody listens on. It never removes anything else: what appears
// between the look and the move stays or is put back.
func Move(tmp, path string) error {
	const tries = 4 // somebody else is putting things there as well
	for range tries {
		switch err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE); {
		case err == nil:
			return nil
		case errors.Is(err, unix.EEXIST):
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			// A file system without the flags, NFS for one.
			return MoveAfterLook(tmp, path)
		default:
			return &os.LinkError{Op: "rename", Old: tmp, New: path, Err: err}
		}
		dead, err := DeadAt(path)
		if err != nil {
			return err
		}
		if dead == nil {
			continue // it went in the meantime
		}
		switch err := exchange(tmp, path); {
		case errors.Is(err, unix.ENOENT):
			continue // and so did this
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return MoveAfterLook(tmp, path) // some know one flag only
		case err != nil:
			return &os.LinkError{Op: "replace the dead socket", Old: tmp, New: path, Err: err}
		}
		if got, err := os.Lstat(tmp); err == nil && os.SameFile(got, dead) {
			return syscall.Unlink(tmp)
		}
		err = exchange(tmp, path)
		if errors.Is(err, unix.ENOENT) { // ours has been removed
			err = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
		}
		if err != nil {
			return &os.LinkError{Op: "put back what is not ours", Old: tmp, New: path, Err: err}
		}
	}
	return fmt.Errorf("%w: %s keeps changing", ErrInUse, path)
}

func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// Write writes without SIGPIPE, which a program may be notified of.
func Write(fd uintptr, p []byte) (int, error) {
	return unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_NOSIGNAL)
}
