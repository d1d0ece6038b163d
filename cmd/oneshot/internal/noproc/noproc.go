//go:build unix

// Package noproc has the decisions of the client where there is no /proc: whose socket it
// may connect to, and which signals it may send. Of a process it knows whether it exists, and
// what ps says about its signals. It does not connect.
package noproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// ForeignError is the error for a socket that is somebody else's, or is none.
type ForeignError struct{ text string }

func (e *ForeignError) Error() string { return e.text }

// DefaultPath returns where the socket of a process is, if the program does not set another
// path.
func DefaultPath(pid int) string {
	return strings.ReplaceAll(protocol.DefaultSocketPath, "%p", strconv.Itoa(pid))
}

// CheckPath checks, before a client connects, that a path leads to a socket of this user or
// of root: to connect to another program's socket would use up its window. named is true if
// the person has given the path. Otherwise no link is followed: everybody can make one in
// /tmp. The path can change after the check, so CheckPeer must follow. The error is
// fs.ErrNotExist if there is nothing yet.
func CheckPath(path string, named bool, euid int) error {
	const longest = len(unix.RawSockaddrUnix{}.Path) - 1
	switch {
	case strings.HasPrefix(path, "@"):
		return &ForeignError{fmt.Sprintf("%s: abstract sockets are on Linux only; give the path of a socket", path)}
	case len(path) > longest:
		return fmt.Errorf("%s has %d bytes, and at most %d fit into a socket address; change to its folder and give ./NAME", path, len(path), longest)
	}
	look := os.Lstat
	if named {
		look = os.Stat
	}
	info, err := look(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode().Type() != fs.ModeSocket:
		return &ForeignError{fmt.Sprintf("%s is not a socket; nothing was sent", path)}
	case !ok || !trusted(int(st.Uid), euid):
		return &ForeignError{fmt.Sprintf("the socket %s belongs to uid %d; nothing was sent%s", path, st.Uid, become(int(st.Uid)))}
	}
	return nil
}

// Peer is who listens at the other end of a connection, according to the kernel.
type Peer struct {
	PID int // 0: the kernel does not say
	UID int
}

// CheckPeer checks who has made the socket that a client is connected to: this user, or root. If
// the person has named a process, and the kernel says which one it is, it must be that one.
// Otherwise want is 0.
func CheckPeer(path string, p Peer, want, euid int) error {
	switch {
	case !trusted(p.UID, euid):
		return fmt.Errorf("the program that listens at %s is of uid %d; nothing was sent%s", path, p.UID, become(p.UID))
	case want != 0 && p.PID != 0 && p.PID != want:
		return fmt.Errorf("the socket %s belongs to process %d, not to process %d; nothing was sent; give the path if you trust that process", path, p.PID, want)
	}
	return nil
}

// trusted reports whether a client of the user euid may talk to what belongs to uid.
func trusted(uid, euid int) bool { return uid == euid || uid == 0 }

// become says how to be the user with a uid.
func become(uid int) string {
	return fmt.Sprintf("; if you trust that user, put this in front of the command: sudo -u '#%d'", uid)
}

// OwnName returns a name for the client's own socket, which must end with base. It is in a
// new folder that only this user can write to. remove removes the folder.
func OwnName(base string) (name string, remove func(), err error) {
	const longest = len(unix.RawSockaddrUnix{}.Path) - 1
	for _, parent := range []string{os.TempDir(), "/tmp"} { // the folder for temporary files of macOS has a long name
		dir, dirErr := os.MkdirTemp(parent, "oneshot-")
		if dirErr != nil {
			err = errors.Join(err, dirErr)
			continue
		}
		remove = func() { _ = os.RemoveAll(dir) }
		if name = dir + "/" + base; len(name) <= longest {
			return name, remove, nil
		}
		remove()
		err = errors.Join(err, fmt.Errorf("%s is too long for a socket address", name))
	}
	return "", nil, fmt.Errorf("no folder for the client's own socket: %w; set TMPDIR to one with a short name", err)
}
