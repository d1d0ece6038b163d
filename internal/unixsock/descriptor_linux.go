package unixsock

import "golang.org/x/sys/unix"

func Dup2(from, to int) error { return unix.Dup3(from, to, 0) }

// GrowPipe asks for a larger pipe.
func GrowPipe(fd, size int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, size) }
