//go:build linux

package main

import (
	"context"
	"sync"
	"time"
)

// Goroutines that wait for a result or an event.

type flight struct {
	group sync.WaitGroup
	value string
}

// startSingleFlight starts a goroutine that fetches a large report, and five that
// wait for its result.
func startSingleFlight() {
	f := hold(&flight{})
	f.group.Add(1)
	go f.fetch(hold(make(chan string)))
	for range 5 {
		go f.result()
	}
}

func (f *flight) fetch(source <-chan string) {
	defer f.group.Done()
	f.value = <-source
}

func (f *flight) result() string {
	f.group.Wait()
	return f.value
}

type lazyClient struct {
	once  sync.Once
	ready chan string
}

func startLazyClients() {
	l := hold(&lazyClient{})
	for range 3 {
		go func() { <-l.connected() }()
	}
}

func (l *lazyClient) connected() <-chan string {
	l.once.Do(func() { l.ready = make(chan string) })
	return l.ready
}

type versioned struct {
	mu      sync.Mutex
	changed *sync.Cond
	version int
}

func startVersionWatchers() {
	v := hold(&versioned{})
	v.changed = sync.NewCond(&v.mu)
	for range 7 {
		go v.after(0)
	}
}

func (v *versioned) after(seen int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.version == seen {
		v.changed.Wait()
	}
	return v.version
}

func startAckWaiters() {
	for range 4 {
		ack := hold(make(chan uint64, 1))
		go func() {
			for {
				timeout, cancel := context.WithTimeout(serving, time.Minute)
				select {
				case <-ack:
				case <-timeout.Done():
				}
				cancel()
			}
		}()
	}
}

type future struct {
	done  chan struct{}
	value int
}

func startFuture() {
	f := hold(&future{done: make(chan struct{})})
	for range 2 {
		go f.get()
	}
}

func (f *future) get() int {
	<-f.done
	return f.value
}

func startHedged() {
	first, second := hold(make(chan int)), hold(make(chan int))
	go func() {
		select {
		case <-first:
		case <-second:
		case <-serving.Done():
		}
	}()
}
