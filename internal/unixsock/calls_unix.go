//go:build linux || darwin || freebsd

package unixsock

import (
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Calls are the system calls of this package that create, look at, move and remove a
// socket. Tests replace them, since most of their errors cannot be brought about
// otherwise. Nothing else does.
type Calls struct {
	Socket  func(kind int) (fd int, err error) // close-on-exec and non-blocking
	Bind    func(fd int, path string) error
	Listen  func(fd, backlog int) error
	Accept  func(fd int) (client int, err error) // close-on-exec and non-blocking
	Connect func(fd int, path string) error
	Lstat   func(path string) (fs.FileInfo, error)
	Chmod   func(path string, mode fs.FileMode) error // of a socket; follows no link
	Link    func(from, to string) error
	Rename  func(from, to string) error
	Unlink  func(path string) error
	platformCalls
}

// Use the address types of package syscall. Package net already links their code. With
// x/sys/unix, its code for all address families would be linked too.
var kernel = Calls{
	Socket:  newSocket,
	Bind:    func(fd int, path string) error { return syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}) },
	Listen:  unix.Listen,
	Accept:  acceptFD,
	Connect: func(fd int, path string) error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}) },
	Lstat:   os.Lstat,
	Chmod:   chmodSocket,
	Link:    os.Link,
	Rename:  os.Rename,
	Unlink:  syscall.Unlink,

	platformCalls: platformKernel,
}

// replaced has the calls of a test; nil: kernel.
var replaced atomic.Pointer[Calls]

func sys() *Calls {
	if c := replaced.Load(); c != nil {
		return c
	}
	return &kernel
}

// Replace replaces some of the system calls until restore is called. It is for tests.
func Replace(change func(*Calls)) (restore func()) {
	before := replaced.Load()
	c := *sys()
	change(&c)
	replaced.Store(&c)
	return func() { replaced.Store(before) }
}
