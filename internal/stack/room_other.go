//go:build !unix

package stack

// allocate returns zeroed memory from the Go heap.
func allocate(size int) ([]byte, error) { return make([]byte, size), nil }

// free does nothing: the garbage collector frees the memory.
func free([]byte) {}
