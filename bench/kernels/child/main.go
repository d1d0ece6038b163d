//go:build linux

// Child is the part of a test program that is not from Go's own tree. Package kernels
// builds it together with the kernels, each of which registers a function here.
//
//	child KERNEL INSTANCES AROUND
//
// starts AROUND ordinary goroutines that wait, runs the function of KERNEL until it has
// left INSTANCES goroutines stuck, and prints "ready" and their number.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// yieldCount is how often the kernels let other goroutines run. They refer to it.
const yieldCount = 10

// tries bounds the loops in which kernels repeat what fails rarely, so that a run of a
// kernel leaves one instance stuck, not hundreds.
var tries = 3

var kernels = map[string]func(){}

// register is what the kernels call.
func register(name string, f func()) { kernels[name] = f }

// nothing stands in for the profile that the kernels write at their end.
type nothing struct{}

func (nothing) WriteTo(io.Writer, int) error { return nil }

func noProfile(func(string) *pprof.Profile) nothing { return nothing{} }

// kept is what the kernels wait for, if the program is to be able to reach it.
var kept []any

// keep makes the program able to reach what a kernel has made. The collector cannot
// prove then that nobody will ever use it.
func keep[T any](v T) T {
	keptMu <- struct{}{}
	kept = append(kept, v)
	<-keptMu
	return v
}

// keptMu guards kept. It is no mutex, so that it is no lock in the dumps.
var keptMu = make(chan struct{}, 1)

// settling is how long a kernel gets until its goroutines are where they stay.
const settling = 300 * time.Millisecond

func main() {
	if len(os.Args) != 4 {
		fail("usage: child KERNEL INSTANCES AROUND")
	}
	f := kernels[os.Args[1]]
	instances, err := strconv.Atoi(os.Args[2])
	around, err2 := strconv.Atoi(os.Args[3])
	if f == nil || err != nil || err2 != nil {
		fail("no such kernel, or no number: ", os.Args)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if _, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2}); err != nil {
		fail(err)
	}
	ordinary(around)
	stuck, deadline := 0, time.Now().Add(time.Minute)
	for stuck < instances && time.Now().Before(deadline) {
		for range instances - stuck {
			go f()
		}
		time.Sleep(settling)
		stuck = countStuck()
	}
	fmt.Println("ready", stuck)
	// Whoever started the program ends it by closing its standard input.
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func fail(why ...any) {
	fmt.Fprintln(os.Stderr, why...)
	os.Exit(1)
}

// countStuck counts the goroutines of the kernel that wait for others.
func countStuck() int {
	buf := make([]byte, 64<<20)
	n := 0
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		head, frames, _ := strings.Cut(g, "\n")
		if strings.Contains(frames, "/kernel_") && !strings.Contains(head, "[sleep") && !strings.Contains(head, "[run") {
			n++
		}
	}
	return n
}
