//go:build linux

package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// ordinary starts n goroutines that wait as the goroutines of healthy servers do.
func ordinary(n int) {
	ctx := context.Background()
	workers(n / 3)
	subscribers(ctx, n/6)
	janitors(ctx, n/6)
	connections(n / 6)
	sleepers(n - n/3 - 3*(n/6))
}

// workers starts a pool that gets a job now and then.
func workers(n int) {
	jobs := make(chan int)
	for range n {
		go work(jobs)
	}
	go func() {
		for job := 0; ; job++ {
			jobs <- job
			time.Sleep(20 * time.Millisecond)
		}
	}()
}

func work(jobs <-chan int) {
	for range jobs {
		time.Sleep(time.Millisecond)
	}
}

// subscribers starts goroutines that wait for news, which comes every second.
func subscribers(ctx context.Context, n int) {
	var mu sync.Mutex
	news := sync.NewCond(&mu)
	for range n {
		go func() {
			mu.Lock()
			defer mu.Unlock()
			for ctx.Err() == nil {
				news.Wait()
			}
		}()
	}
	go func() {
		for {
			time.Sleep(time.Second)
			news.Broadcast()
		}
	}()
}

// janitors starts goroutines that do something every few seconds.
func janitors(ctx context.Context, n int) {
	for range n {
		go func() {
			tick := time.NewTicker(5 * time.Second)
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
}

// connections starts a server with n clients that say nothing.
func connections(n int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				fail(err)
			}
			go serve(conn)
		}
	}()
	for range n {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			fail(err)
		}
		idle = append(idle, conn)
	}
}

// idle keeps the clients' ends of the connections.
var idle []net.Conn

func serve(conn net.Conn) {
	message := make([]byte, 512)
	for {
		if _, err := conn.Read(message); err != nil {
			return
		}
	}
}

func sleepers(n int) {
	for range n {
		go func() {
			for {
				time.Sleep(10 * time.Second)
			}
		}()
	}
}
