//go:build linux

package main

import (
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	conditions["deadlocked-on-locks"] = deadlockedOnLocks
	conditions["spinning"] = spinning
	conditions["log-locked"] = logLocked
	conditions["memory-limit"] = memoryLimit
	conditions["goroutines"] = goroutines
	conditions["threads-locked"] = threadsLocked
}

// deadlockedOnLocks makes every goroutine, main included, wait for another one.
func deadlockedOnLocks([]string) {
	install()
	var a, b sync.Mutex
	c, d := make(chan int), make(chan int)
	var both sync.WaitGroup
	both.Add(2)
	take := func(first, second *sync.Mutex) {
		first.Lock()
		both.Done()
		both.Wait()
		second.Lock()
	}
	go take(&a, &b)
	go take(&b, &a)
	go func() { c <- <-d }()
	both.Wait()
	ready()
	d <- <-c
}

// spinning starts a number of goroutines for each CPU that never wait and never call a
// function.
func spinning(args []string) {
	install()
	for range number(args[0]) * runtime.NumCPU() {
		go func() {
			for i := 0; ; i++ {
				_ = i
			}
		}()
	}
	ready()
	select {}
}

// stuck is a writer whose Write never returns. It closes entered first.
type stuck struct{ entered chan struct{} }

func (s stuck) Write([]byte) (int, error) {
	close(s.entered)
	select {}
}

// logLocked holds the lock of the program's log for ever. The argument names the log:
// "log", "slog", which writes to package log by default, or "handler", slog with a
// handler of its own.
func logLocked(args []string) {
	w := stuck{make(chan struct{})}
	switch args[0] {
	case "log", "slog":
		log.SetOutput(w)
	case "handler":
		slog.SetDefault(slog.New(slog.NewTextHandler(w, nil)))
	}
	install()
	for range 10 {
		go func() {
			if args[0] == "log" {
				log.Print("never written")
			} else {
				slog.Info("never written")
			}
		}()
	}
	select {
	case <-w.entered:
	case <-time.After(patience):
		fail(fmt.Errorf("timeout after %v, waited for: a record", patience))
	}
	ready()
	select {}
}

// memoryLimit makes the garbage collector run all the time. The memory in use is over the
// limit, and the program goes on allocating.
func memoryLimit([]string) {
	install()
	for range 32 << 20 / (8 + 8) { // 8 bytes, and 8 for the pointer to them
		inUse = append(inUse, new(int))
	}
	runtime.GC()
	debug.SetMemoryLimit(32 << 20)
	for range runtime.NumCPU() {
		go func() {
			for {
				passing.Store(new([1 << 10]byte))
			}
		}()
	}
	await("30 collections", func() (bool, any) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC >= 30, m.NumGC
	})
	ready()
	select {}
}

var (
	inUse   []*int
	passing atomic.Pointer[[1 << 10]byte] // a new value makes garbage of the old one
)

// goroutines starts a number of goroutines that wait on a channel.
func goroutines(args []string) {
	install()
	wait := make(chan struct{})
	for range number(args[0]) {
		go func() { <-wait }()
	}
	ready()
	select {}
}

// threadsLocked starts a number of goroutines and locks each of them, and main, to a
// thread of its own.
func threadsLocked(args []string) {
	runtime.LockOSThread()
	install()
	var begun sync.WaitGroup
	for range number(args[0]) {
		begun.Add(1)
		go func() {
			runtime.LockOSThread()
			begun.Done()
			select {}
		}()
	}
	begun.Wait()
	ready()
	select {}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fail(err)
	}
	return n
}

func fail(err error) {
	_, _ = os.Stderr.WriteString(err.Error() + "\n")
	os.Exit(1)
}
