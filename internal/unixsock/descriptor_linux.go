package unixsock

import "golang.org/x/sys/unix"

// Dup2 makes descriptor to a duplicate of from, as dup2(2) does.
func Dup2(from, to int) error { return unix.Dup3(from, to, 0) }

// GrowPipe asks the kernel for a pipe of size bytes. The kernel may refuse
// (F_SETPIPE_SZ in fcntl(2)).
func GrowPipe(fd, size int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, size) }
