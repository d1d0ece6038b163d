package stderrpipe

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// dupSafely makes descriptor to an end of the pipe whose write end is pipe. It is an end
// for reading and writing (fifo(7)): the pipe then has a reader as long as there is a
// writer. Otherwise SIGPIPE would end a program that this process executes in its own
// place, and a child that outlives this process, when they write. Where there is no
// /proc, the end is for writing only.
func dupSafely(pipe, to int) error {
	both, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", pipe), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return unixsock.Dup2(pipe, to)
	}
	defer unix.Close(both)
	return unixsock.Dup2(both, to)
}
