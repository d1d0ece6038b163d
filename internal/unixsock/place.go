// Package unixsock has the sockets of the manhole: the system calls that net and
// os do not offer, how a socket comes to its path and leaves it, and the kernel's
// word on who connected. It knows nothing of windows and sessions.
package unixsock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ErrInUse says that another socket, with a process behind it, is at the path.
// That socket is left alone.
var ErrInUse = errors.New("oneshot: the socket path is in use by another socket")

// IsAbstract reports whether a socket path is a name in the abstract namespace
// (unix(7)), which has no files. Whoever knows the name can connect; who may
// enter is decided afterwards, as ever.
func IsAbstract(path string) bool { return strings.HasPrefix(path, "@") }

// DeadAt returns the socket at path if nobody listens on it, nil if
// nothing is there, and an error that says what to do about anything else.
func DeadAt(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is not a socket but a %s; remove it or set SocketPath", path, kindOf(info))
	}
	inUse, err := InUse(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s is a socket of somebody else: %w; remove it or set SocketPath", path, err)
	}
	if inUse {
		return nil, fmt.Errorf("%w: %s; end its owner or set SocketPath", ErrInUse, path)
	}
	return info, nil
}

func kindOf(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "regular file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symbolic link"
	case fs.ModeNamedPipe:
		return "named pipe"
	}
	return "device"
}

// MoveAfterLook is moveSocket where the file system cannot do it in one step. A
// dead socket is removed first; to link fails where something stands, be it since
// a moment ago, and rename would overwrite that.
func MoveAfterLook(tmp, path string) error {
	dead, err := DeadAt(path)
	if err != nil {
		return err
	}
	if dead != nil {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, dead) {
			_ = syscall.Unlink(path) // or link fails
		}
	}
	err = os.Link(tmp, path)
	switch {
	case err == nil:
		_ = syscall.Unlink(tmp) // it has just been made there
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s: somebody else is putting things there", ErrInUse, path)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP):
		return os.Rename(tmp, path) // it knows no links
	}
	return err
}
