//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

func init() {
	faults["spin"] = replicatorSpins
	faults["spin2"] = spinLockStaysLocked
}

var errNotLeader = errors.New("not the leader")

// replicator sends what is pending to the leader, once there is one again.
type replicator struct {
	leader   atomic.Pointer[lineClient]
	pending  map[string]string
	failures int
}

func (r *replicator) run(changes <-chan string) {
	for c := range changes {
		r.pending[c] = c
		r.flush()
	}
}

func (r *replicator) flush() {
	for { // GUILTY spin
		if err := r.send(); err == nil { // GUILTY spin
			return
		}
		r.failures++ // GUILTY spin
	}
}

func (r *replicator) send() error {
	leader := r.leader.Load() // GUILTY spin
	if leader == nil {        // GUILTY spin
		return fmt.Errorf("sending %d changes: %w", len(r.pending), errNotLeader) // GUILTY spin
	}
	_, err := leader.ask(fmt.Sprint(r.pending))
	return err
}

func replicatorSpins() {
	r := hold(&replicator{pending: map[string]string{}})
	changes := hold(make(chan string))
	go r.run(changes)
	changes <- "a"
	computes()
}

// spinLock guards few instructions, so they say.
type spinLock struct{ locked atomic.Bool }

func (l *spinLock) lock() {
	for !l.locked.CompareAndSwap(false, true) { // GUILTY spin2
	}
}

func (l *spinLock) unlock() { l.locked.Store(false) }

// ring is a buffer of the last samples.
type ring struct {
	lock    spinLock
	samples []int
	at      int
}

func (r *ring) add(sample int) {
	r.lock.lock() // GUILTY spin2
	if sample < 0 {
		return // and locked it stays
	}
	r.samples[r.at%len(r.samples)] = sample
	r.at++
	r.lock.unlock()
}

func (r *ring) collect(samples <-chan int) {
	for s := range samples {
		r.add(s)
	}
}

func spinLockStaysLocked() {
	r := hold(&ring{samples: make([]int, 64)})
	samples := hold(make(chan int))
	for range runtime.GOMAXPROCS(0) + 1 {
		go r.collect(samples)
	}
	samples <- 1
	samples <- -1 // its collector goes on to the next sample
	for range runtime.GOMAXPROCS(0) {
		samples <- 2
	}
	computes()
}

// computes returns when the process has had a CPU for a while: what it does then
// is under way.
func computes() {
	had := func() time.Duration {
		var use syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
			panic(err)
		}
		return time.Duration(use.Utime.Nano())
	}
	before := had()
	waitUntil(func() bool { return had() > before+200*time.Millisecond }, "200 ms of CPU time")
}
