// Command workers has what programs have that use no library: pools of workers, stages
// of a pipeline, queues with a condition, loops with a clock, goroutines that wait for
// the end.
package main

import (
	"context"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve}) }

// sources are where work comes from.
var sources struct {
	jobs  chan<- int
	queue *queue
}

func serve(r *program.Run) string {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	jobs, results := make(chan int), make(chan int, 10)
	for range 150 {
		go work(jobs, results)
	}
	in := results
	for range 5 {
		out := make(chan int)
		go stage(in, out)
		in = out
	}
	go func() {
		for range in {
		}
	}()
	q := newQueue()
	for range 120 {
		go q.serve()
	}
	for range 20 {
		go clock(ctx)
	}
	for range 40 {
		go waitForEnd(ctx)
	}
	// An idle program could get work at any time. Without this, the collector would prove,
	// rightly, that nobody can send to the workers.
	sources.jobs, sources.queue = jobs, q
	r.Work(8, func(_ context.Context, worker, i int) error {
		if worker%2 == 0 {
			jobs <- i
		} else {
			q.push(i)
			time.Sleep(100 * time.Microsecond) // a source without a pause is a loop that uses a CPU, and is found
		}
		return nil
	})
	return ""
}

func work(jobs <-chan int, results chan<- int) {
	for j := range jobs {
		time.Sleep(time.Millisecond)
		results <- j * 2
	}
}

func stage(in <-chan int, out chan<- int) {
	for v := range in {
		out <- v + 1
	}
}

// maxItems bounds a queue.
const maxItems = 1000

type queue struct {
	mu          sync.Mutex
	ready, room *sync.Cond
	items       []int
}

func newQueue() *queue {
	q := new(queue)
	q.ready, q.room = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	return q
}

func (q *queue) push(v int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == maxItems {
		q.room.Wait()
	}
	q.items = append(q.items, v)
	q.ready.Signal()
}

func (q *queue) pop() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		q.ready.Wait()
	}
	v := q.items[0]
	q.items = q.items[1:]
	q.room.Signal()
	return v
}

func (q *queue) serve() {
	for {
		q.pop()
		time.Sleep(100 * time.Microsecond)
	}
}

func clock(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func waitForEnd(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	<-ctx.Done()
}
