//go:build linux && (amd64 || arm64)

package image_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/image/core/coretest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// listingEnv names the file into which the program writes what runtime.Stack says
// about it.
const listingEnv = "ONESHOT_TEST_LISTING"

func TestMain(m *testing.M) {
	if file := os.Getenv(listingEnv); file != "" {
		park(file)
	}
	os.Exit(m.Run())
}

type worker[T any] struct{ in chan T }

//go:noinline
func (w *worker[T]) run() { <-w.in }

type runner interface{ run() }

type embedded struct{ *worker[string] }

//go:noinline
func call(r runner) { r.run() }

func inlinedOuter(c chan int) { inlinedInner(c) }
func inlinedInner(c chan int) { <-c }

//go:noinline
func recurse(n int, c chan int) int {
	if n == 0 {
		return <-c
	}
	return recurse(n-1, c) + 1
}

var spins atomic.Int64

//go:noinline
func spin() {
	for {
		spins.Add(1)
	}
}

// ways are the ways in which goroutines are parked.
func ways() []func() {
	closed := make(chan int)
	var nilChannel chan int
	var mutex sync.Mutex
	var rw, reader sync.RWMutex
	var group sync.WaitGroup
	cond := sync.NewCond(new(sync.Mutex))
	mutex.Lock()
	rw.Lock()
	reader.RLock()
	group.Add(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	return []func(){
		func() { <-closed },
		func() { closed2 := make(chan int); closed2 <- 1 },
		func() { <-nilChannel },
		func() { nilChannel <- 1 },
		func() { select {} },
		func() {
			select {
			case <-closed:
			case <-nilChannel:
			case <-time.After(time.Hour):
			}
		},
		mutex.Lock, rw.RLock, reader.Lock, group.Wait,
		func() { cond.L.Lock(); cond.Wait() },
		func() { time.Sleep(time.Hour) },
		func() { _, _ = listener.Accept() },
		func() { _, _ = syscall.Read(pipe[0], make([]byte, 1)) },
		func() { runtime.LockOSThread(); <-closed },
		func() { inlinedOuter(closed) },
		func() { recurse(40, closed) },
		func() { call(embedded{&worker[string]{make(chan string)}}) },
		(&worker[int]{make(chan int)}).run,
		func() { defer func() { <-closed }(); panic("recovered later") },
		func() {
			pprof.Do(context.Background(), pprof.Labels("tenant", "acme", "q\"uote", "a: b]"), func(context.Context) { <-closed })
		},
		func() { sync.OnceFunc(func() { <-closed })() },
	}
}

// park parks goroutines, writes the text of runtime.Stack, and waits.
func park(file string) {
	coretest.AllowWrite()
	time.AfterFunc(4*testwait.Patience, func() { os.Exit(1) }) // whatever became of the test
	runtime.GOMAXPROCS(4)
	for _, f := range ways() {
		for range 3 {
			go f()
		}
	}
	go spin()
	for spins.Load() == 0 {
		runtime.Gosched()
	}
	time.Sleep(200 * time.Millisecond) // until they are parked; the test compares what is
	buf := make([]byte, 1<<20)
	if err := os.WriteFile(file, buf[:runtime.Stack(buf, true)], 0o600); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	select {}
}
