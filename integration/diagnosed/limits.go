//go:build linux

package main

import (
	"os"
	"syscall"
)

// limitFiles sets RLIMIT_NOFILE, or what comes next to n if that is not allowed.
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

func openFiles() int { return len(must(os.ReadDir("/proc/self/fd"))) }
