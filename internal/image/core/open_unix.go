//go:build unix

package core

import "syscall"

// nonblock keeps an open from waiting if the file has become a FIFO meanwhile.
const nonblock = syscall.O_NONBLOCK
