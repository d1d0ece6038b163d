//go:build linux

package main

import (
	"io"
	"runtime"
	"runtime/pprof"
)

func init() { register("Healthy", Healthy) }

// Healthy has the form of a kernel, but leaves nothing stuck. Every finding in a program
// with it is a false one.
func Healthy() {
	prof := noProfile(pprof.Lookup)
	for range tries {
		done := keep(make(chan struct{}))
		go func() {
			for range yieldCount {
				runtime.Gosched()
			}
			close(done)
		}()
		<-done
	}
	_ = prof.WriteTo(io.Discard, 2)
}
