//go:build !unix

package stack

func allocate(size int) ([]byte, error) { return make([]byte, size), nil }

func free([]byte) {}
