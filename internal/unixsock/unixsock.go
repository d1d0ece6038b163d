// Package unixsock has the sockets of the manhole. It makes the system calls that net
// and os do not offer, moves a socket to its path, and asks the kernel which process
// has connected. It knows nothing about windows and sessions.
package unixsock

import (
	"errors"
	"strings"
)

// ErrInUse is the error if there is another socket at the path that a process has open.
// That socket is left alone.
var ErrInUse = errors.New("oneshot: the socket path is in use by another socket")

// IsAbstract reports whether a socket path is a name in the abstract namespace
// (unix(7)), which has no files. Every process that knows the name can connect. As
// always, the manhole checks the client's user after that.
func IsAbstract(path string) bool { return strings.HasPrefix(path, "@") }
