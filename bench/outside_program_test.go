//go:build linux

package bench

import (
	"io"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// outsideProgram parks goroutines and is read from outside. It has no manhole.
func outsideProgram(goroutines string) {
	n, err := strconv.Atoi(goroutines)
	check(err)
	park(n)
	debug.FreeOSMemory()
	var w watch
	answerQuestions("ready", map[string]func() any{
		"begin":  func() any { w.begin(); return nil },
		"end":    func() any { return w.end() },
		"serve":  func() any { return serve() },
		"debug2": func() any { check(pprof.Lookup("goroutine").WriteTo(io.Discard, 2)); return nil },
	})
}

// watch measures how long the process stood still: the longest time that a sleep of
// 100 µs took. The sleep is a system call: Go's timers would add a millisecond.
type watch struct {
	stop    chan struct{}
	watcher sync.WaitGroup
	gap     time.Duration
}

func (w *watch) begin() {
	w.stop, w.gap = make(chan struct{}), 0
	w.watcher.Go(func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		pause := unix.NsecToTimespec(100_000)
		for last := time.Now(); ; {
			select {
			case <-w.stop:
				return
			default:
			}
			_ = unix.Nanosleep(&pause, nil) // a signal of Go's runtime may interrupt it
			now := time.Now()
			w.gap = max(w.gap, now.Sub(last))
			last = now
		}
	})
}

func (w *watch) end() time.Duration {
	close(w.stop)
	w.watcher.Wait()
	return w.gap
}
