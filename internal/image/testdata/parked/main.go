// Parked parks goroutines in every way, and writes what runtime.Stack says about them
// into a file. It is built with each release of Go from 1.21 on.
//
//	parked FILE N [moving | spinning]
//
// N is how many goroutines it parks, about. With "moving", 8 goroutines run and about
// 1,000 come and go each second while the others are parked. With "spinning", five run
// and never stop by themselves, and so does main.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func outer(c chan int) { inner(c) }
func inner(c chan int) { <-c }

type value struct{ n [3]int }

func (v value) wait(c chan int) { <-c }

type waiter interface{ wait(chan int) }

type embedded struct{ *value }

type list[T any] struct{ c chan T }

//go:noinline
func (l *list[T]) receive() { <-l.c }

//go:noinline
func deep(n int, c chan int) int {
	if n == 0 {
		return <-c
	}
	var big [100]int
	big[n%100] = deep(n-1, c)
	return big[0] + big[n%100]
}

//go:noinline
func shallow(n int, c chan int) int {
	if n == 0 {
		return <-c
	}
	return shallow(n-1, c) + 1
}

// newWays are the ways that only later releases have.
var newWays []func()

// ways are the ways in which goroutines are parked. Each of the second kind keeps a
// thread.
func ways() (many, threads []func()) {
	c := make(chan int)
	var nilChannel chan int
	var mutex sync.Mutex
	var rw, reader sync.RWMutex
	var group sync.WaitGroup
	var w waiter = &value{}
	var e waiter = embedded{&value{}}
	cond := sync.NewCond(new(sync.Mutex))
	mutex.Lock()
	rw.Lock()
	reader.RLock()
	group.Add(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	var pipe [2]int
	check(syscall.Pipe(pipe[:]))
	many = []func(){
		func() { outer(c) },
		func() { value{}.wait(c) },
		func() { w.wait(c) },
		func() { e.wait(c) },
		(&list[string]{make(chan string)}).receive,
		(&list[[4]int]{make(chan [4]int)}).receive,
		func() { make(chan int) <- 1 },
		func() { nilChannel <- 1 },
		func() { <-nilChannel },
		func() { select {} },
		func() {
			select {
			case <-c:
			case nilChannel <- 1:
			}
		},
		func() {
			select {
			case <-c:
			case <-time.After(time.Hour):
			}
		},
		mutex.Lock, rw.RLock, reader.Lock, group.Wait,
		func() { cond.L.Lock(); cond.Wait() },
		func() { time.Sleep(time.Hour) },
		func() { deep(45, c) },
		func() { shallow(90, c) },
		func() { _, _ = listener.Accept() },
		func() { defer func() { recover(); <-c }(); var p *int; *p = 1 },
		func() { defer func() { <-c }(); panic("recovered later") },
		func() { defer func() { <-c }(); runtime.Goexit() },
		func() { sync.OnceFunc(func() { <-c })() },
		func() { go func() { <-c }(); <-c },
		func() {
			pprof.Do(context.Background(), pprof.Labels("tenant", "acme", "b c", "d\"e"), func(context.Context) { <-c })
		},
	}
	many = append(many, newWays...)
	threads = []func(){
		func() { runtime.LockOSThread(); <-c },
		func() { runtime.LockOSThread(); time.Sleep(time.Hour) },
		func() { _, _ = syscall.Read(pipe[0], make([]byte, 1)) },
	}
	return many, threads
}

func main() {
	n, err := strconv.Atoi(os.Args[2])
	check(err)
	time.AfterFunc(5*time.Minute, func() { os.Exit(1) }) // whatever became of the test
	many, threads := ways()
	for i := range make([]int, n) {
		go many[i%len(many)]()
		if i < 2*len(threads) {
			go threads[i%len(threads)]()
		}
	}
	writeListing(os.Args[1], n)
	switch {
	case len(os.Args) > 3 && os.Args[3] == "spinning":
		go tight()
		go calls()
		go recursion()
		go throughPointer()
		go throughInterface(&triple{})
	case len(os.Args) > 3:
		go comeAndGo()
		for range make([]int, 8) {
			go run()
		}
		for gone.Load() == 0 || runs.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	fmt.Println("ready")
	for len(os.Args) > 3 && os.Args[3] == "spinning" {
		spun[3]++
	}
	select {}
}

// writeListing waits until all goroutines but this one have parked: then two listings
// are the same.
func writeListing(file string, n int) {
	buf := make([]byte, 64<<20)
	last := ""
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text := string(buf[:runtime.Stack(buf, true)])
		if text == last && strings.Count(text, "\n\ngoroutine ") >= n && !strings.Contains(text, "[runnable") && strings.Count(text, "[running") == 1 {
			break
		}
		last = text
		if time.Now().After(deadline) {
			panic("timeout, waited for: goroutines that wait")
		}
	}
	check(os.WriteFile(file, []byte(last), 0o600))
}

var runs, gone atomic.Int64

// run computes, calls and yields.
func run() {
	for {
		runs.Add(int64(work(int(runs.Load() % 30))))
		if runs.Load()%7 == 0 {
			runtime.Gosched()
		}
	}
}

//go:noinline
func work(n int) int {
	if n <= 0 {
		return 1
	}
	return work(n-1) + 1
}

// comeAndGo starts 1,000 goroutines a second, however seldom it runs itself.
func comeAndGo() {
	c := make(chan int, 10)
	began := time.Now()
	for i := 0; ; {
		for ; i < int(time.Since(began)/time.Millisecond); i++ {
			go come(i%20, c)
		}
		time.Sleep(time.Millisecond)
		select {
		case <-c:
		default:
		}
	}
}

//go:noinline
func come(depth int, c chan int) {
	if depth > 0 {
		come(depth-1, c)
		return
	}
	select {
	case c <- 1:
	case <-time.After(time.Millisecond):
	}
	gone.Add(1)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
