// Package unixsock has the sockets of the manhole. It makes the system calls that net
// and os do not offer, moves a socket to its path, and asks the kernel which process
// has connected. It knows nothing about windows and sessions.
package unixsock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ErrInUse is the error if there is another socket at the path that a process has open.
// That socket is left alone.
var ErrInUse = errors.New("oneshot: the socket path is in use by another socket")

// IsAbstract reports whether a socket path is a name in the abstract namespace
// (unix(7)), which has no files. Every process that knows the name can connect. As
// always, the manhole checks the client's user after that.
func IsAbstract(path string) bool { return strings.HasPrefix(path, "@") }

// DeadAt returns the socket at path if no process listens on it. It returns nil if
// there is no file. For everything else it returns an error that says what to do.
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

// MoveAfterLook does the work of Move if the file system cannot do it in one step.
// It first removes a dead socket at path. Then it makes a hard link: link(2) fails if
// there is a file at path, even one that was made a moment ago. rename(2) would
// overwrite that file.
func MoveAfterLook(tmp, path string) error {
	dead, err := DeadAt(path)
	if err != nil {
		return err
	}
	if dead != nil {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, dead) {
			_ = syscall.Unlink(path) // if this fails, so does the link
		}
	}
	err = os.Link(tmp, path)
	switch {
	case err == nil:
		_ = syscall.Unlink(tmp) // it was made a moment ago
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s: somebody else is putting things there", ErrInUse, path)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP):
		return os.Rename(tmp, path) // the file system has no hard links
	}
	return err
}
