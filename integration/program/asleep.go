//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// Programs in which every goroutine waits. In those named asleep-dead-*, nothing can wake
// one of them. In the others something will.

// aLongTime is longer than the test takes.
const aLongTime = 20 * time.Minute

func init() {
	for name, wait := range map[string]func(){
		"dead-group": func() { // a worker has forgotten Done
			var group sync.WaitGroup
			jobs := make(chan int)
			for range 3 {
				group.Add(1)
				go func() {
					for range jobs {
						group.Done()
					}
				}()
			}
			group.Wait()
		},
		"dead-channels": func() { // two that wait for each other, and a lock
			a, b := make(chan int), make(chan int)
			var mu sync.Mutex
			mu.Lock()
			go func() { a <- <-b }()
			go mu.Lock()
			b <- <-a
		},
		"dead-cond": func() {
			c := sync.NewCond(new(sync.Mutex))
			c.L.Lock()
			c.Wait()
		},
		"dead-stopped": func() { // its timers are stopped, and it listens to no signal any more
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGTERM)
			signal.Stop(c)
			ctx, cancel := context.WithTimeout(context.Background(), aLongTime)
			ticker := time.NewTicker(aLongTime)
			ticker.Stop()
			cancel()
			<-ctx.Done()
			<-ticker.C
		},
		"ticker": func() {
			for range time.NewTicker(aLongTime).C {
			}
		},
		"select": func() {
			select {
			case <-make(chan int):
			case <-time.After(aLongTime):
			}
		},
		"func": func() {
			var group sync.WaitGroup
			group.Add(1)
			time.AfterFunc(aLongTime, group.Done)
			group.Wait()
		},
		"context": func() {
			ctx, cancel := context.WithTimeout(context.Background(), aLongTime)
			defer cancel()
			<-ctx.Done()
		},
		"sleep": func() { time.Sleep(aLongTime) },
		"signal": func() {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGTERM)
			<-c
		},
		"quit": func() {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGQUIT)
			<-c
		},
		"usr1": func() {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGUSR1)
			<-c
		},
		"notify-context": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			<-ctx.Done()
		},
		"network": func() {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				fail(err)
			}
			_, _ = l.Accept()
		},
		"input": func() {
			r, w, err := os.Pipe()
			if err != nil {
				fail(err)
			}
			_, _ = r.Read(make([]byte, 1))
			runtime.KeepAlive(w) // a collection would close it
		},
		"child": func() { _ = exec.Command("sleep", "1200").Run() },
		"wait": func() {
			_, _ = oneshot.Installed().Wait(context.Background(), syscall.SIGTERM)
		},
	} {
		conditions["asleep-"+name] = func([]string) {
			install()
			go func() { wait() }()
			ready()
			select {}
		}
	}
}
