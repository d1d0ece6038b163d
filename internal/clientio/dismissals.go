package clientio

import (
	"sync"
	"time"
)

const (
	// DismissTime is how long a client that was refused may take to read the reason.
	DismissTime = 250 * time.Millisecond

	maxDismissals = 16 // at a time; further clients are disconnected at once
)

// Dismissals counts the refused clients that are still reading the reason.
type Dismissals struct {
	mu   sync.Mutex // guards what follows
	now  int
	none chan struct{} // closed when now becomes 0
}

// Begin counts one more client. It returns false if there are too many.
func (d *Dismissals) Begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now >= maxDismissals {
		return false
	}
	if d.now == 0 {
		d.none = make(chan struct{})
	}
	d.now++
	return true
}

// End is called when a client has gone.
func (d *Dismissals) End() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now--; d.now == 0 {
		close(d.none)
	}
}

// Wait waits until every client that was refused by now has gone, DismissTime at the
// longest. It returns how many clients there were.
func (d *Dismissals) Wait() (clients int) {
	d.mu.Lock()
	now, none := d.now, d.none
	d.mu.Unlock()
	if now > 0 {
		<-none
	}
	return now
}
