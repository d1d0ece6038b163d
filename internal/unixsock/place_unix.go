//go:build linux || darwin || freebsd

package unixsock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// DeadAt returns the socket at path if no process listens on it. It returns nil if
// there is no file. For everything else it returns an error that says what to do.
func DeadAt(path string) (fs.FileInfo, error) {
	info, err := sys().Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is not a socket but a %s; remove it or set SocketPath", path, kindOf(info))
	}
	used, err := InUse(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s is a socket of somebody else: %w; remove it or set SocketPath", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot find out whether the socket is in use: %w", path, err)
	case used:
		return nil, fmt.Errorf("%w: %s; end its owner or set SocketPath", ErrInUse, path)
	}
	return info, nil
}

// same reports whether two looks have seen the same file. The number of an inode is not
// enough: a file system may give that of a removed file to the next one. On Linux it
// cannot while the file is pinned. Elsewhere the mode and the time of the last change
// decide, which a rename does not change.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
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

// moveAfterLook does the work of Move if the file system cannot do it in one step.
// It first removes a dead socket at path. Then it makes a hard link: link(2) fails if
// there is a file at path, even one that was made a moment ago. rename(2) would
// overwrite that file.
func moveAfterLook(tmp, path string) error {
	dead, unpin, err := pinnedDead(path)
	if err != nil {
		return err
	}
	defer unpin()
	if dead != nil {
		if now, err := sys().Lstat(path); err == nil && same(now, dead) {
			_ = sys().Unlink(path) // if this fails, so does the link
		}
	}
	err = sys().Link(tmp, path)
	switch {
	case err == nil:
		_ = sys().Unlink(tmp) // it was made a moment ago
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s: somebody else is putting things there", ErrInUse, path)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		return sys().Rename(tmp, path) // the file system has no hard links, or a seccomp profile refuses them
	}
	return err
}
