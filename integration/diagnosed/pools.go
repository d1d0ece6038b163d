//go:build linux

package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

// Pools of workers, and queues.

func startMailers() {
	letters := hold(make(chan string))
	for range 8 {
		go sendLetters(letters)
	}
}

func sendLetters(letters <-chan string) {
	for l := range letters {
		_ = len(l)
	}
}

type thumbnailer struct{ images chan []byte }

func startThumbnails() {
	t := hold(&thumbnailer{images: make(chan []byte, 16)})
	for range 12 {
		go t.work(serving)
	}
}

func (t *thumbnailer) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case image := <-t.images:
			_ = len(image)
		}
	}
}

type condPool struct {
	mu    sync.Mutex
	more  *sync.Cond
	tasks []func()
}

func startCondPool() {
	p := hold(&condPool{})
	p.more = sync.NewCond(&p.mu)
	for range 4 {
		go p.idle()
	}
}

func (p *condPool) idle() {
	for {
		p.mu.Lock()
		for len(p.tasks) == 0 {
			p.more.Wait()
		}
		task := p.tasks[0]
		p.tasks = p.tasks[1:]
		p.mu.Unlock()
		task()
	}
}

// startBackups starts five backups, of which two may run at once. The others wait for
// their turn.
func startBackups() {
	slots := hold(make(chan struct{}, 2))
	for range 5 {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			copySlowly(serving)
		}()
	}
}

func copySlowly(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(5 * time.Second) // it leaves the CPU and the disk to the service
	}
}

type taskQueue struct {
	cond  *sync.Cond
	items []string
}

func startWorkQueue() {
	q := hold(&taskQueue{cond: sync.NewCond(new(sync.Mutex))})
	for range 5 {
		go func() {
			for q.processNext() {
			}
		}()
	}
	delayed := hold(make(chan string))
	go q.waitingLoop(delayed)
}

func (q *taskQueue) get() string {
	q.cond.L.Lock()
	defer q.cond.L.Unlock()
	for len(q.items) == 0 {
		q.cond.Wait()
	}
	item := q.items[0]
	q.items = q.items[1:]
	return item
}

func (q *taskQueue) processNext() bool { return q.get() != "" }

func (q *taskQueue) waitingLoop(delayed <-chan string) {
	never := time.NewTimer(time.Hour)
	for {
		select {
		case <-serving.Done():
			return
		case <-never.C:
		case item := <-delayed:
			q.cond.L.Lock()
			q.items = append(q.items, item)
			q.cond.L.Unlock()
			q.cond.Signal()
		}
	}
}

func startBulkhead() {
	var group sync.WaitGroup
	calls := hold(make(chan func()))
	for range 6 {
		group.Go(func() {
			for call := range calls {
				call()
			}
		})
	}
}

func startActors() {
	for range 10 {
		a := hold(&actor{mailbox: make(chan func(), 4)})
		go a.loop()
	}
}

type actor struct{ mailbox chan func() }

func (a *actor) loop() {
	for f := range a.mailbox {
		f()
	}
}

func startShards() {
	for range 16 {
		ops := hold(make(chan func(map[string]int)))
		go func() {
			shard := map[string]int{}
			for {
				op, ok := <-ops
				if !ok {
					return
				}
				op(shard)
			}
		}()
	}
}

// weighted is a semaphore that gives out its slots in the order of the requests.
type weighted struct {
	mu      sync.Mutex
	waiters []chan struct{}
}

// startWeighted starts two imports of low priority, which wait until the night.
func startWeighted() {
	w := hold(&weighted{})
	for range 2 {
		go func() { _ = w.acquire(serving) }()
	}
}

func (w *weighted) acquire(ctx context.Context) error {
	ready := make(chan struct{})
	w.mu.Lock()
	w.waiters = append(w.waiters, ready)
	w.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func startLabelled() {
	for i := range 6 {
		jobs := hold(make(chan int, 1))
		labels := pprof.Labels("queue", "billing", "worker", fmt.Sprint(i))
		go pprof.Do(serving, labels, func(ctx context.Context) { billingWorker(ctx, jobs) })
	}
}

func billingWorker(ctx context.Context, jobs <-chan int) {
	for {
		select {
		case <-jobs:
		case <-ctx.Done():
			return
		}
	}
}

func startThreadBound() {
	calls := hold(make(chan func()))
	go func() {
		runtime.LockOSThread() // a namespace or a C library belongs to one thread
		for call := range calls {
			call()
		}
	}()
}

func startConsumers() {
	assigned := hold(make(chan []int))
	go func() { // the coordinator of the consumers
		heartbeat := time.NewTicker(3 * time.Second)
		for {
			select {
			case <-heartbeat.C:
			case partitions := <-assigned:
				_ = len(partitions)
			}
		}
	}()
	messages := hold(make(chan []byte, 64))
	for p := range 12 {
		credit := hold(make(chan struct{}))
		go fetchPartition(p, credit, messages)
	}
	go consumeMessages(messages)
}

func fetchPartition(p int, credit <-chan struct{}, messages chan<- []byte) {
	for range credit {
		messages <- []byte{byte(p)}
	}
}

func consumeMessages(messages <-chan []byte) {
	for m := range messages {
		_ = m
	}
}
