package oneshot

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// restrictMode is a net.ListenConfig.Control: before the socket is bound, its
// own mode is that of the file that bind will make (unix_bind_bsd in
// net/unix/af_unix.c), so that no moment passes with a wider one.
func restrictMode(_, _ string, c syscall.RawConn) error {
	var chmodErr error
	if err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) }); err != nil {
		return err
	}
	return os.NewSyscallError("fchmod", chmodErr)
}

func restrictFile(string) error { return nil }

// moveSocket moves our socket from tmp to path, where nothing may stand but a
// socket that nobody listens on. It never removes anything else: what appears
// between the look and the move stays or is put back.
func moveSocket(tmp, path string) error {
	const tries = 4 // somebody else is putting things there as well
	for range tries {
		switch err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE); {
		case err == nil:
			return nil
		case errors.Is(err, unix.EEXIST):
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			// A file system without the flags, NFS for one.
			return moveAfterLook(tmp, path)
		default:
			return &os.LinkError{Op: "rename", Old: tmp, New: path, Err: err}
		}
		dead, err := deadSocketAt(path)
		if err != nil {
			return err
		}
		if dead == nil {
			continue // it went in the meantime
		}
		if err := exchange(tmp, path); err != nil {
			return &os.LinkError{Op: "replace the dead socket", Old: tmp, New: path, Err: err}
		}
		if got, err := os.Lstat(tmp); err == nil && os.SameFile(got, dead) {
			return syscall.Unlink(tmp)
		}
		if err := exchange(tmp, path); err != nil {
			return &os.LinkError{Op: "put back", Old: tmp, New: path, Err: err}
		}
	}
	return fmt.Errorf("%w: %s keeps changing", ErrPathInUse, path)
}

func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// turnAway tells the clients that have connected but were not accepted why they
// will not be, instead of a bare reset.
func turnAway(ln *net.UnixListener, line string) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for {
			client, _, err := unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			if err != nil {
				return
			}
			_, _ = writeSocket(uintptr(client), []byte(line))
			_ = unix.Close(client)
		}
	})
}

// writeSocket writes without SIGPIPE, which a program may be notified of.
func writeSocket(fd uintptr, p []byte) (int, error) {
	return unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_NOSIGNAL)
}

func systemNotForUse(sig syscall.Signal) string {
	switch {
	case sig == unix.SIGSTKFLT:
		return "it means that the program has crashed"
	case sig >= 32 && sig <= 34:
		return "the C library and the Go runtime keep it for themselves"
	}
	return ""
}
