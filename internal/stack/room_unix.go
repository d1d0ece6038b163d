//go:build unix

package stack

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// allocate returns zeroed memory outside the Go heap.
func allocate(size int) ([]byte, error) {
	buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("cannot allocate %d bytes for the stacks: %w", size, err)
	}
	return buf, nil
}

// free gives the memory of allocate back to the system.
func free(buf []byte) { _ = unix.Munmap(buf) }
