//go:build linux

package main

import (
	"io"
	"iter"
	"reflect"
	"sync"
	"time"
)

// Goroutines that pass messages to one another.

type broker struct {
	publish     chan string
	subscribers []chan string
}

func startBroker() {
	b := hold(&broker{publish: make(chan string)})
	for range 15 {
		c := make(chan string, 4)
		b.subscribers = append(b.subscribers, c)
		go func() {
			for event := range c {
				_ = event
			}
		}()
	}
	go b.loop()
}

func (b *broker) loop() {
	for event := range b.publish {
		for _, c := range b.subscribers {
			c <- event
		}
	}
}

func startGenerator() {
	go generate(hold(make(chan int)))
}

// generate produces ids. It waits until somebody takes the next one.
func generate(ids chan<- int) {
	for i := 0; ; i++ {
		ids <- i
	}
}

func startCoroutine() {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	})
	next()
	hold(next)
	hold(stop)
}

func startFanIn() {
	out := hold(make(chan int))
	var group sync.WaitGroup
	for range 4 {
		in := hold(make(chan int))
		group.Add(1)
		go func() {
			defer group.Done()
			for v := range in {
				out <- v
			}
		}()
	}
	go func() {
		group.Wait()
		close(out)
	}()
	go func() {
		for range out {
		}
	}()
}

func startReflectSelect() {
	var cases []reflect.SelectCase
	for range 6 {
		c := hold(make(chan int))
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	go func() {
		for {
			_, _, _ = reflect.Select(cases)
		}
	}()
}

type machine struct{ up, down, fail, reset chan struct{} }

func startMachines() {
	for range 3 {
		m := hold(&machine{make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})})
		go m.run()
	}
}

func (m *machine) run() {
	for state := "down"; state != ""; {
		select {
		case <-m.up:
			state = "up"
		case <-m.down:
			state = "down"
		case <-m.fail:
			state = "failed"
		case <-m.reset:
			state = "down"
		}
	}
}

type wal struct{ requests chan chan error }

func startWAL() {
	w := hold(&wal{requests: make(chan chan error)})
	go w.syncer()
}

func (w *wal) syncer() {
	for r := range w.requests {
		r <- nil
	}
}

// startInformers starts informers as Kubernetes clients have them: each is a
// reflector and the two halves of a listener.
func startInformers() {
	for range 5 {
		events, next := hold(make(chan string)), hold(make(chan string))
		go reflectorWatch(events)
		go func() {
			for e := range events {
				next <- e
			}
		}()
		go func() {
			for e := range next {
				_ = e
			}
		}()
	}
}

func reflectorWatch(events chan<- string) {
	resync, expired := time.NewTicker(10*time.Minute), time.NewTimer(time.Hour)
	for {
		select {
		case <-resync.C:
			events <- "resync"
		case <-expired.C:
			return
		case <-serving.Done():
			return
		}
	}
}

type rpcStream struct {
	received chan []byte
	closed   chan struct{}
}

func startStreams() {
	for range 4 {
		s := hold(&rpcStream{make(chan []byte), make(chan struct{})})
		go func() { _, _ = io.ReadAll(s) }()
	}
	for range 2 {
		frames := hold(make(chan []byte))
		go loopyWriter(frames)
		go keepalivePings(frames)
	}
}

func (s *rpcStream) Read(p []byte) (int, error) {
	select {
	case b := <-s.received:
		return copy(p, b), nil
	case <-s.closed:
		return 0, io.EOF
	}
}

func loopyWriter(frames <-chan []byte) {
	for f := range frames {
		_ = f
	}
}

func keepalivePings(frames chan<- []byte) {
	for timer := time.NewTimer(20 * time.Second); ; timer.Reset(20 * time.Second) {
		<-timer.C
		frames <- nil
	}
}
