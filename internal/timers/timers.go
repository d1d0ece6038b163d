// Package timers counts the timers of the program that will fire. The runtime does not
// say it, so the package reads the runtime's own lists of timers. It believes what it
// finds only if its own timer is there too, and knows nothing about the rest of the
// program.
package timers

import (
	"errors"
	"sync"
	"time"
)

// ErrUnknown is the error where the timers cannot be counted: on other systems than
// Linux, on 32-bit machines, where the process may not read its own memory, or with a
// runtime whose lists look different.
var ErrUnknown = errors.New("the timers of this program cannot be counted")

// Timer is a timer of the manhole, which Pending does not count.
type Timer struct{ *time.Timer }

// own has the timers that Pending does not count.
var own struct {
	sync.Mutex
	timers map[*time.Timer]struct{}
}

// New makes a timer of the manhole. The caller must stop it.
func New(d time.Duration) Timer {
	t := Timer{time.NewTimer(d)}
	own.Lock()
	defer own.Unlock()
	if own.timers == nil {
		own.timers = make(map[*time.Timer]struct{})
	}
	own.timers[t.Timer] = struct{}{}
	return t
}

// Stop stops the timer. It is counted no more, but also not left out any more: the
// runtime keeps a stopped timer in its list for a while, and marks it.
func (t Timer) Stop() {
	own.Lock()
	defer own.Unlock()
	delete(own.timers, t.Timer)
	t.Timer.Stop()
}
