//go:build darwin || freebsd

package oneshot

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// restrictMode can do nothing here: fchmod does not work on a socket.
func restrictMode(_, _ string, _ syscall.RawConn) error { return nil }

// restrictFile sets the mode while the socket has its temporary name only,
// which nobody else knows. Who connects all the same is asked who he is.
func restrictFile(tmp string) error { return os.Chmod(tmp, 0o600) }

func moveSocket(tmp, path string) error { return moveAfterLook(tmp, path) }

// turnAway leaves it to the end of the listener, which resets those who wait.
func turnAway(*net.UnixListener, string) {}

// writeSocket: the runtime catches SIGPIPE for descriptors other than 1 and 2.
func writeSocket(fd uintptr, p []byte) (int, error) { return unix.Write(int(fd), p) }

func systemNotForUse(syscall.Signal) string { return "" }
