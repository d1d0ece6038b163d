//go:build linux

package main

import "sync"

// held keeps the channels and other values that goroutines wait for reachable, as
// the rest of a service does. So none of these goroutines is leaked.
var (
	heldMu sync.Mutex // guards held
	held   []any
)

// hold adds v to held and returns it.
func hold[T any](v T) T {
	heldMu.Lock()
	defer heldMu.Unlock()
	held = append(held, v)
	return v
}

// must returns v, or panics with err.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
