//go:build linux || darwin || freebsd

package unixsock

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The system calls on sockets and signals that net and os do not offer.

const Supported = true

// MaxPath is the longest path that fits a socket address with the NUL
// that ends it (unix(7)).
const MaxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Listener is a listening socket. It is known to the runtime's poller only
// once somebody has to wait for a client.
type Listener struct {
	FD   int
	file *os.File // owns fd once it is set
}

// Listen makes a listening socket of mode 0600 at path.
func Listen(path string) (*Listener, error) {
	fd, err := newSocket(unix.SOCK_STREAM)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := bindAndListen(fd, path); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Listener{FD: fd}, nil
}

func bindAndListen(fd int, path string) error {
	if err := restrictSocket(fd); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return &os.PathError{Op: "bind", Path: path, Err: err}
	}
	// Nobody can connect before listen.
	err := restrictFile(path)
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
	}
	if err != nil && !IsAbstract(path) {
		_ = unix.Unlink(path)
	}
	return err
}

// backlog is how many clients may have connected without being accepted yet.
const backlog = 128

// AcceptNow takes a client that has connected already, or returns EAGAIN.
func (l *Listener) AcceptNow() (int, error) { return acceptFD(l.FD) }

func (l *Listener) Waiting() bool { return l.file != nil }

// StartWaiting hands the socket to the poller; accept and setDeadline work from
// here on.
func (l *Listener) StartWaiting(deadline time.Time) {
	l.file = os.NewFile(uintptr(l.FD), "manhole listener")
	l.SetDeadline(deadline)
}

func (l *Listener) SetDeadline(t time.Time) {
	if l.file != nil {
		_ = l.file.SetReadDeadline(t) // it fails on a closed file only
	}
}

// Accept waits for a client, until the deadline, and returns its descriptor.
func (l *Listener) Accept() (int, error) {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return -1, err
	}
	client := -1
	var acceptErr error
	err = raw.Read(func(fd uintptr) bool {
		client, acceptErr = acceptFD(int(fd))
		return !errors.Is(acceptErr, unix.EAGAIN)
	})
	if err != nil {
		return -1, err
	}
	return client, os.NewSyscallError("accept", acceptErr)
}

// TurnAway dismisses the clients that have connected but were not accepted.
func (l *Listener) TurnAway(dismiss func(client int)) {
	for range backlog + 1 {
		client, err := acceptFD(l.FD)
		if err != nil {
			return
		}
		dismiss(client)
	}
}

func (l *Listener) Close() {
	if l.file != nil {
		_ = l.file.Close()
	} else {
		unix.Close(l.FD)
	}
}

// Abandon closes a listener that a fork has inherited. The two processes share
// the poller's epoll instance, and to close the file as usual would take the
// parent's registration out of it: the parent's window would be deaf. So another
// file has the descriptor first, of which that instance knows nothing.
func (l *Listener) Abandon() {
	if fd, err := newSocket(unix.SOCK_STREAM); err == nil {
		_ = Dup2(fd, l.FD)
		unix.Close(fd)
	}
	l.Close()
}

// ID tells a file from every other that exists.
type ID struct{ Dev, Ino uint64 }

// IDAt is that of the file at path itself, not of what a link there leads
// to, with its permissions.
func IDAt(path string) (ID, uint32, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return ID{}, 0, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return ID{uint64(stat.Dev), uint64(stat.Ino)}, uint32(stat.Mode) & 0o777, nil
}

// IDOf is that of an open file.
func IDOf(fd int) (ID, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return ID{}, os.NewSyscallError("fstat", err)
	}
	return ID{uint64(stat.Dev), uint64(stat.Ino)}, nil
}

// OwnedBy reports whether a file is the user's.
func OwnedBy(info os.FileInfo, uid int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

// InUse reports whether some process still holds a socket bound to path.
// It asks with a connect from a datagram socket: the kernel looks the socket up
// and finds none (ECONNREFUSED) or one of another type (EPROTOTYPE), and
// nothing arrives at its owner (unix_find_bsd in net/unix/af_unix.c, unp_connectat
// in FreeBSD's uipc_usrreq.c). A stream connect would take somebody's window.
func InUse(path string) (bool, error) {
	fd, err := newSocket(unix.SOCK_DGRAM)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
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

// CheckWritable reports why no socket could be made in dir.
func CheckWritable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// HungUp reports whether the client is gone: it has closed its socket, not
// merely shut down its sending side.
func HungUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP and POLLERR need not be asked for
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// PeerName is the name that a client has bound its socket to; empty: it has not.
func PeerName(client int) string {
	if addr, err := unix.Getpeername(client); err == nil {
		if unix, ok := addr.(*unix.SockaddrUnix); ok {
			return unix.Name
		}
	}
	return ""
}

func CloseWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

func Read(fd uintptr, p []byte) (int, error) { return unix.Read(int(fd), p) }
