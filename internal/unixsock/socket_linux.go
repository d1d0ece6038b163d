package unixsock

import (
	"errors"
	"fmt"
	"io/fs"
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

// chmodSocket changes the mode of the socket at path, if it is one of this user. Another
// user may have put a link or a file there, if the folder allows that.
func chmodSocket(path string, mode fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not the socket of this process any more", path)
	}
	if unix.Fchmodat(fd, "", uint32(mode), unix.AT_EMPTY_PATH) == nil { // since Linux 6.6
		return nil
	}
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode); err != nil {
		return fmt.Errorf("chmod %s: %w", path, err)
	}
	return nil
}

func acceptFD(ln int) (int, error) {
	fd, _, err := syscall.Accept4(ln, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return fd, err
}

// pinnedDead is DeadAt, and keeps a descriptor of the dead socket open until unpin is
// called. Meanwhile the file system cannot give its inode to another file.
func pinnedDead(path string) (dead fs.FileInfo, unpin func(), err error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, func() {}, nil
	}
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	unpin = func() { unix.Close(fd) }
	id, err := IDOf(fd)
	if err == nil {
		dead, err = DeadAt(path)
	}
	if err != nil {
		unpin()
		return nil, nil, err
	}
	if dead != nil && idOf(dead) != id {
		dead = nil // another one came between; the caller tries again
	}
	return dead, unpin, nil
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
		if moved, err := exchange(tmp, path); moved || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s keeps changing", ErrInUse, path)
}

// exchange moves our socket from tmp to path, where a dead one is. It returns false if
// something else is there now, which was left alone. Whoever has put that there may remove
// it at any time.
func exchange(tmp, path string) (moved bool, err error) {
	dead, unpin, err := pinnedDead(path)
	if err != nil {
		return false, err
	}
	defer unpin()
	if dead == nil {
		return false, nil // it was removed in the meantime
	}
	ours, err := sys().Lstat(tmp)
	if err != nil {
		return false, err
	}
	switch err := sys().Renameat2(tmp, path, unix.RENAME_EXCHANGE); {
	case errors.Is(err, unix.ENOENT):
		return false, nil // the same
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return true, moveAfterLook(tmp, path) // some file systems know only RENAME_NOREPLACE
	case err != nil:
		return false, &os.LinkError{Op: "replace the dead socket", Old: tmp, New: path, Err: err}
	}
	if got, err := sys().Lstat(tmp); err == nil && same(got, dead) {
		return true, os.NewSyscallError("unlink", sys().Unlink(tmp))
	}
	err = sys().Renameat2(tmp, path, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) { // somebody has removed ours, or the other file
		err = sys().Renameat2(tmp, path, unix.RENAME_NOREPLACE)
	}
	if now, lookErr := sys().Lstat(path); errors.Is(err, unix.ENOENT) && lookErr == nil && same(now, ours) {
		return true, nil
	}
	if err != nil {
		return false, &os.LinkError{Op: "put back what is not ours", Old: tmp, New: path, Err: err}
	}
	return false, nil
}

// Write writes to a socket without causing SIGPIPE, since the program may be notified
// of that signal.
func Write(fd uintptr, p []byte) (int, error) {
	return syscall.SendmsgN(int(fd), p, nil, nil, unix.MSG_NOSIGNAL)
}
