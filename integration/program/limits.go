//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"
)

func init() {
	conditions["descriptors"] = descriptors
	conditions["threads"] = threads
	conditions["maxthreads"] = func([]string) { // as many threads as it has set itself
		install()
		n, _ := runtime.ThreadCreateProfile(nil)
		debug.SetMaxThreads(n + 1)
		ready()
		select {}
	}
}

// descriptors uses all descriptors but a few. Each line on standard input says how many
// to leave free.
func descriptors([]string) {
	install()
	const limit = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: 2 * limit}); err != nil {
		fail(err)
	}
	var open []int
	lines := bufio.NewScanner(os.Stdin)
	ready()
	for lines.Scan() {
		for {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if errors.Is(err, unix.EMFILE) {
				break
			}
			if err != nil {
				fail(err)
			}
			if open = append(open, fd); len(open) > 2*limit {
				fail(fmt.Errorf("%d descriptors are open, with a limit of %d", len(open), limit))
			}
		}
		for range number(lines.Text()) {
			_ = unix.Close(open[len(open)-1])
			open = open[:len(open)-1]
		}
		fmt.Fprintln(os.Stderr, lines.Text(), "descriptors are free")
	}
}

// threads has as many threads as its user may have. Most of them are idle.
func threads([]string) {
	install()
	var asleep sync.WaitGroup
	for range 16 {
		asleep.Go(func() { _ = unix.Nanosleep(&unix.Timespec{Nsec: 200e6}, nil) }) // each in the kernel, on a thread of its own
	}
	asleep.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fail(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: uint64(len(tasks)), Max: 1000}); err != nil {
		fail(err)
	}
	ready()
	select {}
}
