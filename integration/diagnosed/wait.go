//go:build linux

package main

import (
	"fmt"
	"runtime/metrics"
	"time"
)

// patience is how long the program waits for something that must happen.
const patience = 50 * time.Second

// waitUntil polls until condition returns true. After patience it panics and says
// what it waited for.
func waitUntil(condition func() bool, what string) {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			panic(fmt.Sprintf("timeout after %v, waited for: %s", patience, what))
		}
	}
}

// await returns a moment after ok returns true. The goroutines that ok counts have
// reached the place where they wait then.
func await(what string, ok func() bool) {
	waitUntil(ok, what)
	time.Sleep(200 * time.Millisecond) // nothing reports when they are there
}

// rest returns when all other goroutines have waited for a while, or are in system
// calls.
func rest() {
	const looks = 50 // in a row, a millisecond apart
	quiet := 0
	waitUntil(func() bool {
		states := []metrics.Sample{
			{Name: "/sched/goroutines/runnable:goroutines"},
			{Name: "/sched/goroutines/running:goroutines"},
		}
		metrics.Read(states)
		if quiet++; states[0].Value.Uint64() > 0 || states[1].Value.Uint64() > 1 {
			quiet = 0
		}
		return quiet == looks
	}, "a moment in which no other goroutine runs")
}
