//go:build linux

package main

import "sync"

// held keeps what goroutines wait for reachable, as the rest of a service does:
// none of them is leaked.
var (
	heldMu sync.Mutex // guards held
	held   []any
)

func hold[T any](v T) T {
	heldMu.Lock()
	defer heldMu.Unlock()
	held = append(held, v)
	return v
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
