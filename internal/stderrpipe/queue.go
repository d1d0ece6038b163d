//go:build linux || darwin || freebsd

package stderrpipe

import "sync"

// queue has bytes from one goroutine for another one. It is bounded: who adds does not
// wait, and what does not fit is lost and counted.
type queue struct {
	max int

	mu    sync.Mutex // guards what follows
	more  sync.Cond  // there is something to take; its lock is mu
	bytes []byte
	lost  int
	ended bool // nothing more is added
}

func newQueue(max int) *queue {
	q := &queue{max: max}
	q.more.L = &q.mu
	return q
}

func (q *queue) add(p []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || len(p) == 0 {
		return
	}
	fits := min(len(p), q.max-len(q.bytes))
	if q.lost > 0 {
		fits = 0 // or there would be a gap that nobody sees
	}
	q.bytes = append(q.bytes, p[:fits]...)
	q.lost += len(p) - fits
	q.more.Signal()
}

// take waits for bytes and returns them, and how many were lost after them. At the end
// it returns false. It may be called by one goroutine only.
func (q *queue) take() (p []byte, lost int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.bytes) == 0 && !q.ended {
		q.more.Wait()
	}
	p, lost = q.bytes, q.lost
	q.bytes, q.lost = nil, 0
	return p, lost, len(p) > 0
}

// end says that nothing more comes. What is there can still be taken.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.more.Signal()
}

// drop ends the queue and empties it.
func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended, q.bytes, q.lost = true, nil, 0
	q.more.Signal()
}
