//go:build linux || darwin || freebsd

package oneshot

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The system calls on sockets and signals that net and os do not offer.

const supported = true

// maxSocketPath is the longest path that fits a socket address with the NUL
// that ends it (unix(7)).
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// socketInUse reports whether some process still holds a socket bound to path.
// It asks with a connect from a datagram socket: the kernel looks the socket up
// and finds none (ECONNREFUSED) or one of another type (EPROTOTYPE), and
// nothing arrives at its owner (unix_find_bsd in net/unix/af_unix.c, unp_connectat
// in FreeBSD's uipc_usrreq.c). A stream connect would take somebody's window.
func socketInUse(path string) (bool, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); {
	case errors.Is(err, unix.ECONNREFUSED):
		return false, nil
	case err == nil, errors.Is(err, unix.EPROTOTYPE):
		return true, nil
	default:
		return false, os.NewSyscallError("connect", err)
	}
}

// checkDirWritable reports why no socket could be made in dir.
func checkDirWritable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// hungUp reports whether the client is gone: it has closed its socket, not
// merely shut down its sending side.
func hungUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP and POLLERR need not be asked for
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

func readSocket(fd uintptr, p []byte) (int, error) { return unix.Read(int(fd), p) }

func raiseSignal(sig syscall.Signal) error { return syscall.Kill(os.Getpid(), sig) }

func systemSignalName(sig syscall.Signal) string { return unix.SignalName(sig) }

// notForUse says why a signal cannot open windows; empty: it can.
func notForUse(sig syscall.Signal) string {
	switch sig {
	case unix.SIGKILL, unix.SIGSTOP:
		return "it cannot be caught"
	case unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS, unix.SIGABRT:
		return "it means that the program has crashed"
	case unix.SIGURG, unix.SIGPROF:
		return "the Go runtime sends it to itself all the time"
	}
	if sig < 1 || sig > 64 {
		return "there is no such signal"
	}
	return systemNotForUse(sig)
}
