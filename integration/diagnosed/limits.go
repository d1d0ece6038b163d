//go:build linux

package main

import (
	"os"
	"syscall"
)

// limitFiles sets RLIMIT_NOFILE to n, or as near to n as the process may, and returns
// the limit.
func limitFiles(n uint64) uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	higher := syscall.Rlimit{Cur: n, Max: max(n, limit.Max)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &higher) == nil {
		return n
	}
	limit.Cur = min(n, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	return limit.Cur
}

// openFiles returns the number of open descriptors.
func openFiles() int { return len(must(os.ReadDir("/proc/self/fd"))) }
