//go:build linux || darwin || freebsd

package unixsock

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file has the system calls on sockets that net and os do not offer.

// Supported reports whether this system has the sockets of the manhole.
const Supported = true

// MaxPath is the longest path that fits a socket address with the NUL
// that ends it (unix(7)).
const MaxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Listener is a listening socket. It is registered with the runtime's poller only
// when a goroutine has to wait for a client (StartWaiting).
type Listener struct {
	FD   int
	ID   ID       // of its file; zero if it has an abstract name
	file *os.File // nil until StartWaiting; then it owns FD
}

// Listen makes a listening socket with mode 0600 at path.
func Listen(path string) (*Listener, error) {
	fd, err := sys().Socket(unix.SOCK_STREAM)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	id, err := bindAndListen(fd, path)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Listener{FD: fd, ID: id}, nil
}

func bindAndListen(fd int, path string) (id ID, err error) {
	if err := restrictSocket(fd); err != nil {
		return ID{}, os.NewSyscallError("fchmod", err)
	}
	if err := sys().Bind(fd, path); err != nil {
		return ID{}, &os.PathError{Op: "bind", Path: path, Err: err}
	}
	if !IsAbstract(path) { // nobody can connect before listen
		id, err = restrictFile(path)
	}
	if err == nil {
		err = os.NewSyscallError("listen", sys().Listen(fd, backlog))
	}
	if err != nil && !IsAbstract(path) {
		_ = sys().Unlink(path)
	}
	return id, err
}

// restrictFile gives a bound socket mode 0600, where the system does not take the mode
// from the descriptor, and where an unusual umask has removed permissions of the owner.
func restrictFile(path string) (ID, error) {
	id, mode, err := IDAt(path)
	if err == nil && mode != 0o600 {
		err = sys().Chmod(path, 0o600)
	}
	return id, err
}

// backlog is the number of clients that can wait to be accepted.
const backlog = 128

// AcceptNow accepts a client that has already connected and returns its
// descriptor. It does not wait: without such a client it returns EAGAIN.
func (l *Listener) AcceptNow() (int, error) { return sys().Accept(l.FD) }

// Waiting reports whether StartWaiting was called.
func (l *Listener) Waiting() bool { return l.file != nil }

// StartWaiting registers the socket with the runtime's poller and sets the deadline
// of Accept. Accept and SetDeadline work only after it.
func (l *Listener) StartWaiting(deadline time.Time) {
	l.file = os.NewFile(uintptr(l.FD), "manhole listener")
	l.SetDeadline(deadline)
}

// SetDeadline sets the deadline of Accept. It does nothing before StartWaiting.
func (l *Listener) SetDeadline(t time.Time) {
	if l.file != nil {
		_ = l.file.SetReadDeadline(t) // fails only on a closed file
	}
}

// Accept waits for a client until the deadline, and returns the client's descriptor.
// It must be called after StartWaiting.
func (l *Listener) Accept() (int, error) {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return -1, err
	}
	client := -1
	var acceptErr error
	err = raw.Read(func(fd uintptr) bool {
		client, acceptErr = sys().Accept(int(fd))
		return !errors.Is(acceptErr, unix.EAGAIN)
	})
	if err != nil {
		return -1, err
	}
	return client, os.NewSyscallError("accept", acceptErr)
}

// TurnAway refuses new clients, accepts each client that has already connected, and
// calls dismiss with its descriptor. New clients are refused even if a process that was
// forked without exec still has the socket open.
func (l *Listener) TurnAway(dismiss func(client int)) {
	_ = unix.Shutdown(l.FD, unix.SHUT_RDWR) // where the system does not support it, Close ends the socket
	for range backlog + 1 {
		client, err := sys().Accept(l.FD)
		if err != nil {
			return
		}
		dismiss(client)
	}
}

// Close closes the socket.
func (l *Listener) Close() {
	if l.file != nil {
		_ = l.file.Close()
	} else {
		unix.Close(l.FD)
	}
}

// Abandon closes a listener in a forked child. The child shares the epoll instance
// of the runtime's poller with its parent. To close the file as usual would remove
// the parent's registration from that instance, and the parent would not notice its
// clients any more. So Abandon first puts another socket, which is not registered
// there, under the same descriptor.
func (l *Listener) Abandon() {
	if fd, err := sys().Socket(unix.SOCK_STREAM); err == nil {
		_ = Dup2(fd, l.FD)
		unix.Close(fd)
	}
	l.Close()
}

// ID identifies a file among all existing files.
type ID struct{ Dev, Ino uint64 }

// IDAt returns the ID and the permissions of the file at path. It does not follow a
// symbolic link.
func IDAt(path string) (ID, os.FileMode, error) {
	info, err := sys().Lstat(path)
	if err != nil {
		return ID{}, 0, err
	}
	return idOf(info), info.Mode().Perm(), nil
}

func idOf(info os.FileInfo) ID {
	stat := info.Sys().(*syscall.Stat_t)
	return ID{uint64(stat.Dev), uint64(stat.Ino)}
}

// Remove removes the file at path if it is the one with that ID. Any other file is left
// alone.
func Remove(path string, id ID) error {
	now, _, err := IDAt(path)
	if err != nil {
		return err
	}
	if now != id {
		return errors.New("something else stands there now; it is left alone")
	}
	if err := sys().Unlink(path); err != nil {
		return &os.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

// IDOf returns the ID of an open file.
func IDOf(fd int) (ID, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return ID{}, os.NewSyscallError("fstat", err)
	}
	return ID{uint64(stat.Dev), uint64(stat.Ino)}, nil
}

// OwnedBy reports whether a file belongs to the user uid.
func OwnedBy(info os.FileInfo, uid int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

// InUse reports whether a process still has the socket that is bound to path open.
// It calls connect with a datagram socket. The kernel looks for the socket at path.
// It finds none (ECONNREFUSED), or one of another type (EPROTOTYPE). Nothing arrives
// at the owner of that socket (unix_find_bsd in net/unix/af_unix.c, unp_connectat in
// FreeBSD's uipc_usrreq.c). A connect with a stream socket would use up the window
// of another process.
func InUse(path string) (bool, error) {
	fd, err := sys().Socket(unix.SOCK_DGRAM)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	switch err := sys().Connect(fd, path); {
	case errors.Is(err, unix.ECONNREFUSED):
		return false, nil
	case err == nil, errors.Is(err, unix.EPROTOTYPE):
		return true, nil
	default:
		return false, os.NewSyscallError("connect", err)
	}
}

// CheckWritable returns an error if the process may not create files in dir.
func CheckWritable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// HungUp reports whether the client has closed its socket. It returns false for a
// client that has only shut down its sending side.
func HungUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}} // the kernel reports POLLHUP and POLLERR without a request
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// PeerName returns the name to which the client has bound its socket. It returns an
// empty string if the client has not bound it.
func PeerName(client int) string {
	if addr, err := syscall.Getpeername(client); err == nil {
		if addr, ok := addr.(*syscall.SockaddrUnix); ok {
			return addr.Name
		}
	}
	return ""
}

// CloseWrite shuts down the sending side of a socket.
func CloseWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// Pair returns the two ends of a connection within the process, which do not block and
// which no child inherits.
func Pair() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
		return fds, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err == nil {
			err = os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
		}
	}
	if err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	return fds, err
}

// HangUp closes the connection of a client, even if a process that was forked without
// exec still has the socket open. Close alone would leave the connection open then.
func HangUp(conn *os.File) {
	last := -1
	if raw, err := conn.SyscallConn(); err == nil && mayBeShared() {
		_ = raw.Control(func(fd uintptr) {
			if last, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err != nil { // no descriptor is free
				last = -1
				_ = unix.Shutdown(int(fd), unix.SHUT_RDWR)
			}
		})
	}
	_ = conn.Close() // waits for the goroutines that use the connection
	if last >= 0 {
		_ = unix.Shutdown(last, unix.SHUT_RDWR)
		unix.Close(last)
	}
}

// Read reads from a socket, as read(2) does.
func Read(fd uintptr, p []byte) (int, error) { return unix.Read(int(fd), p) }
