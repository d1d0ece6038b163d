// Package program is the common part of the systems: each is a program with a manhole
// that is either a server or the clients of one, and either idle or under load.
//
//	SYSTEM serve|clients idle|load DIRECTORY [ADDRESS]
//
// It prints "ready" and, if it is a server, the address for its clients. It ends when its
// standard input is closed.
package program

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// System is a system in a program of its own.
type System struct {
	// Serve starts the system and returns the address for its clients. It is "" if the
	// system has none.
	Serve func(r *Run) string
	// Clients starts the clients of a server. They are in another process. It is nil if
	// there are none.
	Clients func(r *Run, address string)
}

// Run describes what a program is to do.
type Run struct {
	Load bool   // there is work; otherwise everything waits for it
	Dir  string // an empty folder for files

	done atomic.Int64 // units of work
}

// enough is how many units of work a program has done when it is ready.
const enough = 100

// Main runs a system.
func Main(s System) {
	if len(os.Args) < 4 {
		Fail("usage: SYSTEM serve|clients idle|load DIRECTORY [ADDRESS]")
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	Must(oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2}))
	r := &Run{Load: os.Args[2] == "load", Dir: os.Args[3]}
	var address string
	if os.Args[1] == "clients" {
		s.Clients(r, os.Args[4])
		r.wait()
	} else {
		address = s.Serve(r)
		if address == "" {
			r.wait()
		}
	}
	fmt.Println("ready", address)
	// Whoever started the program ends it by closing its standard input.
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// wait waits until the work is under way. An error of it ends the program.
func (r *Run) wait() {
	for r.Load && r.done.Load() < enough {
		time.Sleep(10 * time.Millisecond)
	}
}

// Work has n goroutines do work for ever, if there is load. do is called with the
// number of the goroutine and of the call.
func (r *Run) Work(n int, do func(ctx context.Context, worker, i int) error) {
	if !r.Load {
		return
	}
	for worker := range n {
		go r.loop(do, worker)
	}
}

func (r *Run) loop(do func(ctx context.Context, worker, i int) error, worker int) {
	for i := 0; ; i++ {
		if err := do(context.Background(), worker, i); err != nil {
			Fail(err)
		}
		r.done.Add(1)
	}
}

// Fail ends the program.
func Fail(why ...any) {
	fmt.Fprintln(os.Stderr, why...)
	os.Exit(1)
}

// Check ends the program if there is an error.
func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// Must returns v, or ends the program if there is an error.
func Must[T any](v T, err error) T {
	Check(err)
	return v
}

// Address returns an address of the loopback interface that nobody uses now.
func Address() string {
	l := Must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return l.Addr().String()
}
