//go:build linux

// Command cshared is a library in Go for programs in C. The library has a manhole, which
// shows the goroutines of the library inside the C program. Build both, and start the
// program:
//
//	go build -buildmode=c-shared -o libcounter.so ./examples/cshared
//	gcc -o counter examples/cshared/app/main.c -L. -lcounter -Wl,-rpath,'$ORIGIN'
//	./counter
//
// It prints its pid. In another terminal, oneshot ps lists it, and oneshot PID enters.
//
// The C program must leave the signal of the manhole to the library: it neither handles
// nor blocks SIGUSR2. In a library, main is never called.
package main

import "C"

import (
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

var counter atomic.Int64

// CounterStart starts to count, and installs the manhole. The library works without a
// manhole too.
//
//export CounterStart
func CounterStart() {
	_, err := oneshot.Install(oneshot.Options{
		OneshotOn: syscall.SIGUSR2,
		Locals:    map[string]any{"counter": func() any { return counter.Load() }},
	})
	if err != nil {
		slog.Error("no manhole", "err", err)
	}
	go count()
}

func count() {
	for {
		time.Sleep(time.Second)
		counter.Add(1)
	}
}

// CounterValue returns how far the library has counted.
//
//export CounterValue
func CounterValue() C.long { return C.long(counter.Load()) }

func main() {}
