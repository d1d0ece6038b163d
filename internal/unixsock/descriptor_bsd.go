//go:build darwin || freebsd

package unixsock

import "golang.org/x/sys/unix"

func Dup2(from, to int) error { return unix.Dup2(from, to) }

// GrowPipe can do nothing here: the kernel grows pipes by itself.
func GrowPipe(int, int) {}
