// Package ours starts the manhole's own goroutines, so that a dump of the
// program's goroutines can leave them out. It knows nothing of what they do.
package ours

import "strings"

// Go runs f on a goroutine of the manhole. Every go statement of the manhole is
// here, unless its goroutine is to be shown in dumps as the program's.
//
// The goroutine begins in a function literal: a goroutine that has not run yet
// shows only the function of its go statement, and "go f()" would begin in a
// wrapper that tracebacks hide. Without noinline the literal would have the name
// of the caller.
//
//go:noinline
func Go(f func()) {
	go func() { f() }()
}

// started is the beginning of the name of the function literal in Go.
const started = "github.com/gomanhole/oneshot/internal/ours.Go."

// Is reports whether a goroutine with that function on its stack was started by
// Go.
func Is(function string) bool { return strings.HasPrefix(function, started) }
