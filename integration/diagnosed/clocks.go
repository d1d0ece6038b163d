//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Goroutines that wait for a clock.

func startMetricsReporter() {
	go func() {
		ticker := time.NewTicker(10 * time.Second)
		defer ticker.Stop()
		var m runtime.MemStats
		for range ticker.C {
			runtime.ReadMemStats(&m)
		}
	}()
}

func startSessionTimers() {
	for range 5 {
		touched := hold(make(chan struct{}))
		go expireSession(touched)
	}
}

func expireSession(touched <-chan struct{}) {
	timer := time.NewTimer(30 * time.Minute)
	for {
		select {
		case <-timer.C:
			return
		case <-touched:
			timer.Reset(30 * time.Minute)
		}
	}
}

func startFlagPollers() {
	for range 3 {
		go func() {
			for {
				pollFlags()
				time.Sleep(15*time.Second + rand.N(time.Second))
			}
		}()
	}
}

func pollFlags() { _ = os.Getenv("FLAGS") }

type logBuffer struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func startLogFlusher() {
	l := hold(&logBuffer{w: bufio.NewWriter(io.Discard)})
	go l.flushDaemon(5 * time.Second)
}

func (l *logBuffer) flushDaemon(every time.Duration) {
	for range time.NewTicker(every).C {
		l.mu.Lock()
		_ = l.w.Flush()
		l.mu.Unlock()
	}
}

type ttlCache struct {
	mu    sync.Mutex
	until map[string]time.Time
	stop  chan struct{}
}

func startJanitors() {
	for range 4 {
		c := hold(&ttlCache{until: map[string]time.Time{}, stop: make(chan struct{})})
		go c.janitor(time.Minute)
	}
}

func (c *ttlCache) janitor(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			c.expire(now)
		case <-c.stop:
			return
		}
	}
}

func (c *ttlCache) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, until := range c.until {
		if now.After(until) {
			delete(c.until, k)
		}
	}
}

func startLockedJanitors() {
	for range 2 {
		c := hold(&ttlCache{until: map[string]time.Time{}})
		go func() {
			for {
				time.Sleep(20 * time.Second)
				c.expire(time.Now())
			}
		}()
	}
}

func startRateLimiter() {
	tokens := hold(make(chan struct{}, 10))
	go func() {
		for range time.NewTicker(time.Second).C {
			select {
			case tokens <- struct{}{}:
			default:
			}
		}
	}()
}

func startElection() {
	go func() {
		for leading := campaign(serving); leading; leading = renewLease(serving) {
		}
	}()
}

func campaign(ctx context.Context) bool { return ctx.Err() == nil }

func renewLease(ctx context.Context) bool {
	select {
	case <-time.After(2 * time.Second):
		return true
	case <-ctx.Done():
		return false
	}
}

func startBatchers() {
	for range 3 {
		b := hold(&rowBatcher{rows: make(chan int, 8)})
		go b.run()
	}
}

type rowBatcher struct {
	rows  chan int
	batch []int
}

func (b *rowBatcher) run() {
	flush := time.NewTimer(5 * time.Second)
	for {
		select {
		case row := <-b.rows:
			b.batch = append(b.batch, row)
		case <-flush.C:
			b.batch = b.batch[:0]
			flush.Reset(5 * time.Second)
		}
	}
}

var errUnreachable = errors.New("unreachable")

// startReconnects tries again and again to reach the standby of a replica set. The
// standby is down, which is no fault of this service.
func startReconnects() {
	for range 2 {
		go func() { _ = retry(serving, func() error { return errUnreachable }) }()
	}
}

func retry(ctx context.Context, f func() error) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		if err := f(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

type heartbeat struct{ beats atomic.Int64 }

// startHeartbeat has a timer that sets itself again. Between two beats there is no
// goroutine.
func startHeartbeat() {
	h := hold(&heartbeat{})
	h.beat()
	lost := hold(make(chan struct{}))
	go func() { <-lost }()
}

func (h *heartbeat) beat() {
	h.beats.Add(1)
	time.AfterFunc(3*time.Second, h.beat)
}

func startWatchdogs() {
	for range 2 {
		pings := hold(make(chan struct{}))
		go func() {
			for {
				select {
				case <-pings:
				case <-time.After(10 * time.Minute):
					return
				}
			}
		}()
	}
}

func startCron() {
	go func() {
		for {
			timer := time.NewTimer(time.Until(time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)))
			<-timer.C
		}
	}()
}

func startTick() {
	go func() {
		for range time.Tick(7 * time.Second) {
			_ = runtime.NumGoroutine()
		}
	}()
}

func startUntil() {
	for range 4 {
		go until(serving, func() { runOnce(func() {}) }, 8*time.Second)
	}
}

func runOnce(f func()) {
	defer func() { _ = recover() }()
	f()
}

func until(ctx context.Context, f func(), period time.Duration) {
	backoffUntil(ctx, f, func() <-chan time.Time { return time.After(period) })
}

func backoffUntil(ctx context.Context, f func(), next func() <-chan time.Time) {
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-next():
		}
	}
}

func startSpans() {
	spans := hold(make(chan string, 128))
	go exportSpans(spans)
}

func exportSpans(spans <-chan string) {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	var batch []string
	for {
		select {
		case <-serving.Done():
			return
		case <-timer.C:
			batch = batch[:0]
			timer.Reset(5 * time.Second)
		case s := <-spans:
			batch = append(batch, s)
		}
	}
}

func startConfigWatcher() {
	go func() {
		var last time.Time
		for ; ; time.Sleep(4 * time.Second) {
			if info, err := os.Stat("/etc/passwd"); err == nil {
				last = info.ModTime()
			}
			_ = last
		}
	}()
}

func startDebouncers() {
	for range 2 {
		in, out := hold(make(chan int)), hold(make(chan int, 1))
		go func() {
			var fire <-chan time.Time // nil until a value has come
			var v int
			for {
				select {
				case v = <-in:
					fire = time.After(time.Second)
				case <-fire:
					out <- v
				}
			}
		}()
	}
}

func startBreakers() {
	for range 2 {
		trips := hold(make(chan time.Duration))
		go func() {
			for pause := range trips {
				<-time.After(pause)
			}
		}()
	}
}
