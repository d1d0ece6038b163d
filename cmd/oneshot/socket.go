//go:build linux && !oneshot_noproc

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/discovery"
)

// A process can name any socket in its notice, also that of another program. A client
// that connected there would use up that program's window before it noticed. So the
// functions below find out whose socket it is before the client connects.

// openSocket returns a name for the socket at a path, to connect to. The name is valid
// until done is called, and leads to the socket that was checked, whatever happens to the
// path meanwhile.
func (c *connector) openSocket(path string) (name string, done func(), err error) {
	switch {
	case c.process == nil: // the person has named the socket
		return shorten(path)
	case strings.HasPrefix(path, "@"):
		if !holdsSocket(c.process, path) {
			return "", nil, syscall.ECONNREFUSED
		}
		return path, func() {}, nil
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := checkSocket(c.process, path, fd); err != nil {
		unix.Close(fd)
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), func() { unix.Close(fd) }, nil
}

// checkSocket checks that the socket of an O_PATH descriptor, which was opened at path,
// belongs to the process. The error is ECONNREFUSED for one that nobody listens on: the
// process may replace it.
func checkSocket(p *discovery.Process, path string, fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	ofUser := int(st.Uid) == p.EUID
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || ofUser && holdsSocket(p, path) {
		return nil // connect(2) refuses what is not a socket
	}
	listens, err := somebodyListens(fd)
	switch {
	case err != nil:
		return err
	case !listens:
		return syscall.ECONNREFUSED
	case !ofUser:
		return foreignError{fmt.Sprintf("the socket %s belongs to uid %d, not to process %d, uid %d; nothing was sent", path, st.Uid, p.PID, p.EUID)}
	}
	return foreignError{fmt.Sprintf("the socket %s belongs to another process of uid %d, not to process %d; nothing was sent", path, p.EUID, p.PID)}
}

// holdsSocket reports whether a process listens on the socket at a path, according to the
// kernel (/proc/PID/net/unix). If that or the descriptors of the process cannot be read,
// it reports true: the client asks the kernel again when it is connected.
func holdsSocket(p *discovery.Process, path string) bool {
	if p.Unread != nil {
		return true
	}
	if abs, err := filepath.Abs(path); err == nil && !strings.HasPrefix(path, "@") {
		path = abs
	}
	var now discovery.Sockets
	n, err := now.WindowsAt(p, path)
	return n > 0 || err != nil && !errors.Is(err, discovery.ErrNoProcess)
}

// ownName returns the name for the client's own socket, in the abstract namespace, where
// nothing is left behind. The name is needed until done is called.
func ownName(base string) (name string, done func(), err error) { return "@" + base, func() {}, nil }

// shorten returns a name for a path that fits into a socket address (unix(7)). The
// name is valid until done is called.
func shorten(path string) (name string, done func(), err error) {
	const longest = len(unix.RawSockaddrUnix{}.Path) - 1
	if len(path) <= longest || strings.HasPrefix(path, "@") {
		return path, func() {}, nil
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path)), func() { unix.Close(dir) }, nil
}

// checkPeer checks who is at the other end: another user may have created a socket at
// the path. The kernel has recorded the pid and the user that called listen. If the
// process is not known, the socket must belong to our own user.
func checkPeer(conn *net.UnixConn, p *discovery.Process, path string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	switch {
	case controlErr != nil || err != nil:
		return fmt.Errorf("%s: cannot find out who listens there: %w", path, errors.Join(controlErr, err))
	case p != nil && (int(cred.Pid) != p.PID || int(cred.Uid) != p.EUID):
		return fmt.Errorf("the socket %s belongs to pid %d, uid %d, not to process %d, uid %d; nothing was sent",
			path, cred.Pid, cred.Uid, p.PID, p.EUID)
	case p == nil && int(cred.Uid) != os.Geteuid():
		return fmt.Errorf("the socket %s belongs to pid %d, uid %d; nothing was sent; give that pid if you trust the process", path, cred.Pid, cred.Uid)
	}
	return nil
}
