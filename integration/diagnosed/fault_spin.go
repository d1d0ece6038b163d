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

// Goroutines compute without making progress.

func init() {
	faults["spin"] = replicatorSpins
	faults["spin2"] = spinLockStaysLocked
}

var errNotLeader = errors.New("not the leader")

// replicator sends pending changes to the leader. While there is no leader it tries
// again without a pause.
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

// spinLock is a lock for critical sections of a few instructions.
type spinLock struct{ locked atomic.Bool }

func (l *spinLock) lock() {
	for !l.locked.CompareAndSwap(false, true) { // GUILTY spin2
	}
}

func (l *spinLock) unlock() { l.locked.Store(false) }

// ring is a buffer of the latest samples.
type ring struct {
	lock    spinLock
	samples []int
	at      int
}

func (r *ring) add(sample int) {
	r.lock.lock() // GUILTY spin2
	if sample < 0 {
		return // without the unlock
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
	samples <- -1 // its goroutine leaves the lock locked and takes the next sample
	for range runtime.GOMAXPROCS(0) {
		samples <- 2
	}
	computes()
}

// computes returns when the process has used 200 ms of CPU time. The fault is in full
// effect then.
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
