//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"syscall"
)

// descriptors are faults that are no stalls: the program uses almost all descriptors that
// it may have.
var descriptors = map[string]func(ctx context.Context) error{"bodies": bodiesUseDescriptors}

// bodiesUseDescriptors asks a server again and again, and closes no Body.
func bodiesUseDescriptors(ctx context.Context) error {
	// The line that asked comes from the samples of the allocations. At the usual rate,
	// there is now and then none among so few requests.
	runtime.MemProfileRate = 4 << 10
	const limit = 1000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Cur = min(limit, files.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	upstream = "http://" + listenHTTP()
	for {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		if len(open) > int(files.Cur)*95/100 {
			return nil
		}
		for range 10 {
			if err := warm(ctx); err != nil {
				return err
			}
		}
	}
}

func warm(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req) // the fault: the Body is not closed
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server answers %s", resp.Status)
	}
	return err
}
