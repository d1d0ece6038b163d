//go:build darwin || freebsd

package unixsock

import "golang.org/x/sys/unix"

// Dup2 makes descriptor to a duplicate of from, as dup2(2) does.
func Dup2(from, to int) error { return unix.Dup2(from, to) }

// GrowPipe does nothing: here the kernel grows pipes by itself.
func GrowPipe(int, int) {}

// mayBeShared returns true: here a look would collect the status of a child.
func mayBeShared() bool { return true }
