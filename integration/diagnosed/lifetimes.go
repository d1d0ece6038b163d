//go:build linux

package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Goroutines that wait for a signal, a context, or the end of the service.

func startReloader() {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP, syscall.SIGWINCH)
	go func() {
		for range hup {
			pollFlags()
		}
	}()
}

func startShutdown() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	go func() {
		<-ctx.Done()
		stop()
		os.Exit(130)
	}()
}

func startContextWaiters() {
	for range 5 {
		ctx, cancel := context.WithCancel(serving)
		hold(cancel)
		go closeWhenDone(ctx, io.NopCloser(nil))
	}
}

func closeWhenDone(ctx context.Context, c io.Closer) {
	<-ctx.Done()
	_ = c.Close()
}

func startLeases() {
	for range 3 {
		ctx, cancel := context.WithTimeout(serving, time.Hour)
		hold(cancel)
		lost := hold(make(chan error))
		go func() {
			select {
			case <-lost:
			case <-ctx.Done():
			}
		}()
	}
}

// startSubsystems does what main does in many services: it starts every part and
// waits until all of them have ended.
func startSubsystems() {
	var group sync.WaitGroup
	for _, run := range []func(context.Context){runAPI, runAdmin, runScheduler} {
		group.Add(1)
		go func() {
			defer group.Done()
			run(serving)
		}()
	}
	go func() { group.Wait() }()
}

func runAPI(ctx context.Context) { <-ctx.Done() }

func runAdmin(ctx context.Context) { closeWhenDone(ctx, io.NopCloser(nil)) }

func runScheduler(ctx context.Context) { copySlowly(ctx) }

func startForever() {
	go func() { select {} }()
}

func startFirstError() {
	errs, done := hold(make(chan error, 3)), hold(make(chan struct{}))
	go func() {
		select {
		case err := <-errs:
			panic(err)
		case <-done:
		}
	}()
}

func startLameDuck() {
	quit := hold(make(chan struct{}))
	for range 5 {
		go drainOn(quit)
	}
}

func drainOn(quit <-chan struct{}) {
	<-quit
	stopServing()
}
