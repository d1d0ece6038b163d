//go:build linux

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// One worker of several has missed its wakeup and waits for ever.

func init() {
	faults["missedWakeup"] = mailboxMissesPut
	faults["missedWakeup2"] = gateReplaced
}

type request struct {
	n     int
	reply chan int
}

func (r request) serve() {
	time.Sleep(30 * time.Millisecond)
	r.reply <- r.n * r.n
}

// mailbox is the request queue of one tenant. It has one worker.
type mailbox struct {
	mu    sync.Mutex
	some  *sync.Cond
	queue []request
	idled atomic.Int64
}

func (m *mailbox) put(r request) {
	m.mu.Lock()
	m.queue = append(m.queue, r)
	m.mu.Unlock()
	m.some.Signal()
}

func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue) == 0
}

// next tests whether the queue is empty and then waits, without the lock held from
// one to the other. A put in between wakes nobody.
func (m *mailbox) next() request {
	if m.empty() {
		m.reportIdle()
		m.mu.Lock()
		m.some.Wait() // GUILTY missedWakeup
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.queue[0]
	m.queue = m.queue[1:]
	return r
}

// reportIdle informs the scheduler, over the network.
func (m *mailbox) reportIdle() {
	time.Sleep(20 * time.Millisecond)
	m.idled.Add(1)
}

func (m *mailbox) work() {
	for {
		m.next().serve()
	}
}

func (m *mailbox) ask(n int) int {
	r := request{n, make(chan int)}
	m.put(r)
	return <-r.reply // GUILTY missedWakeup
}

// mailboxMissesPut starts busy tenants, whose queues are never empty, and a quiet
// one. The quiet tenant asks again soon after an answer, while its worker is in
// reportIdle. The worker misses that wakeup.
func mailboxMissesPut() {
	var asked atomic.Int64
	ask := func(m *mailbox, pause time.Duration, count *atomic.Int64) {
		for n := 0; ; n++ {
			count.Add(1)
			m.ask(n)
			time.Sleep(pause)
		}
	}
	for tenant := range 8 {
		m := hold(&mailbox{})
		m.some = sync.NewCond(&m.mu)
		if tenant == 5 {
			go m.work()
			await("an idle worker", func() bool { return m.idled.Load() == 1 }) // so that it does not miss the first question
			go ask(m, 8*time.Millisecond, &asked)
			continue
		}
		for range 4 {
			go ask(m, time.Millisecond, new(atomic.Int64))
		}
		await("a queue", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.queue) == 4 })
		go m.work()
	}
	await("a second question", func() bool { return asked.Load() >= 2 })
	// The fault is that it makes no progress. Only time shows that.
	if time.Sleep(time.Second); asked.Load() > 2 {
		panic("the fault does not occur: the tenant goes on")
	}
}

// lane is a worker with its queue. Maintenance can pause it.
type lane struct {
	requests chan request
	mu       sync.Mutex
	gate     chan struct{} // a closed channel is an open gate
	at       chan struct{} // the gate at which the worker arrived last
	served   atomic.Int64
}

func (l *lane) work() {
	for r := range l.requests {
		l.pass()
		r.serve()
		l.served.Add(1)
	}
}

func (l *lane) pass() {
	l.mu.Lock()
	gate := l.gate
	l.at = gate
	l.mu.Unlock()
	<-gate // GUILTY missedWakeup2
}

func (l *lane) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate = make(chan struct{}) // if it is paused already, nobody opens the old gate, and who waits there stays there
}

func (l *lane) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gate:
	default:
		close(l.gate)
	}
}

func (l *lane) ask(n int) int {
	r := request{n, make(chan int)}
	l.requests <- r
	return <-r.reply // GUILTY missedWakeup2
}

func (l *lane) askOn() {
	for n := 0; ; n++ {
		l.ask(n)
		time.Sleep(10 * time.Millisecond)
	}
}

func gateReplaced() {
	var lanes []*lane
	for range 8 {
		l := hold(&lane{requests: make(chan request), gate: make(chan struct{})})
		close(l.gate)
		lanes = append(lanes, l)
		go l.work()
		go l.askOn()
	}
	l := lanes[5]
	await("an answer", func() bool { return l.served.Load() > 0 })
	l.pause()
	await("a worker at the gate", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.at == l.gate })
	l.pause() // for the backup, while the index is still being rebuilt
	l.resume()
	l.resume()
	served := l.served.Load()
	// The fault is that it makes no progress. Only time shows that.
	if time.Sleep(time.Second); l.served.Load() != served {
		panic("the fault does not occur: the lane goes on")
	}
}
