package report

import (
	"fmt"
	"os"
	"time"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/timers"
)

// Ends is called when a signal has come after which the program should end. If the
// program is still there when the time Shutdown has passed, a report is written. A
// further signal meanwhile has no effect. Without the time, Ends does nothing.
func (r *Reporter) Ends(sig os.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Shutdown <= 0 || r.ending || r.stopped {
		return
	}
	r.ending = true
	came := time.Now()
	r.goLocked(func() {
		for wait := r.Shutdown; r.sleep(wait); wait = retry {
			if r.stillThere(sig, time.Since(came)) {
				return
			}
		}
	})
}

// retry is the time until a report of a shutdown is tried again.
const retry = time.Second

// stillThere begins the report of a shutdown. It returns false if another report was
// begun a moment ago: this one must not be lost.
func (r *Reporter) stillThere(sig os.Signal, since time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ending = !r.requestLocked(fmt.Sprintf("%s came %v ago, and the process is still there", sigset.NameOf(sig), since.Round(time.Millisecond)))
	return !r.ending
}

// sleep waits for d. It returns false if Stop was called.
func (r *Reporter) sleep(d time.Duration) bool {
	t := timers.New(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.quit:
		return false
	}
}
