// Package socketpath has the rules for the path of a manhole's socket: whether a socket
// can be made there, and whether somebody else could replace it. Its errors are those of
// Options.SocketPath.
package socketpath

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/access"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Usable returns the pattern, or another one if it is the default and no socket can be
// made in its directory.
func Usable(pattern string) string {
	if pattern != protocol.DefaultSocketPath {
		return pattern
	}
	for _, other := range protocol.DefaultSocketPaths() {
		if _, err := Of(other, os.Getpid()); err == nil {
			return other
		}
	}
	return pattern // Of returns its error
}

// Of replaces %p by the pid and checks that a socket can be created at the
// path.
func Of(pattern string, pid int) (string, error) {
	parts := strings.Split(pattern, "%p")
	if strings.Contains(strings.Join(parts, ""), "%") {
		return "", fmt.Errorf("oneshot: SocketPath %q: only %%p is replaced, by the pid; use a path without another %%", pattern)
	}
	path := strings.Join(parts, strconv.Itoa(pid))
	if unixsock.IsAbstract(path) {
		return path, checkAbstract(path)
	}
	if strings.ContainsRune(path, 0) || strings.HasSuffix(path, "/") {
		return "", fmt.Errorf("oneshot: SocketPath %q is not the name of a file", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("oneshot: SocketPath %s: %w", pattern, err)
	}
	if longest := unixsock.MaxPath - len(protocol.TempSuffix(0)); len(path) > longest {
		return "", fmt.Errorf("oneshot: SocketPath %s has %d bytes; at most %d fit into a socket address with the suffix of its temporary name",
			path, len(path), longest)
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case err != nil:
		return "", fmt.Errorf("oneshot: the directory of SocketPath %s: %w; create it or set SocketPath", path, err)
	case !info.IsDir():
		return "", fmt.Errorf("oneshot: SocketPath %s: %s is not a directory", path, dir)
	}
	if err := unixsock.CheckWritable(dir); err != nil {
		return "", fmt.Errorf("oneshot: no socket can be made in %s: %w; set SocketPath to a directory that uid %d may write to",
			dir, err, os.Geteuid())
	}
	return path, nil
}

// checkAbstract checks a name in the abstract namespace.
func checkAbstract(name string) error {
	switch {
	case runtime.GOOS != "linux":
		return fmt.Errorf("oneshot: SocketPath %s: only Linux has abstract sockets; give the path of a file", name)
	case len(name) < 2 || strings.ContainsRune(name, 0):
		return fmt.Errorf("oneshot: SocketPath %q: the name of an abstract socket is what follows the @", name)
	case len(name) > unixsock.MaxPath+1: // such an address needs no NUL at its end
		return fmt.Errorf("oneshot: SocketPath %s has %d bytes; at most %d fit into a socket address", name, len(name), unixsock.MaxPath+1)
	}
	return nil
}

// InsecureReason returns the reason why another user could replace a socket at path,
// or "" if nobody can. A replaced socket lets nobody into the process, but a client
// would talk to the wrong program.
func InsecureReason(path string) string {
	if unixsock.IsAbstract(path) {
		return ""
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return ""
		}
		switch mode := info.Mode(); {
		case !trusted(info):
			return dir + " belongs to another user; chown it or set SocketPath"
		case mode&os.ModeSticky != 0:
		case mode.Perm()&0o002 != 0:
			return dir + " may be written by everybody and has no sticky bit; chmod +t " + dir
		case mode.Perm()&0o020 != 0:
			return dir + " may be written by its group and has no sticky bit; chmod +t " + dir + " or chmod g-w " + dir
		}
		parent := filepath.Dir(dir) // who may write there can replace dir
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// trusted reports whether a folder belongs to root or to this process's user. The
// overflow uid is most likely root outside of this user namespace.
func trusted(info os.FileInfo) bool {
	return unixsock.OwnedBy(info, 0) || unixsock.OwnedBy(info, os.Geteuid()) || unixsock.OwnedBy(info, access.Nobody)
}
