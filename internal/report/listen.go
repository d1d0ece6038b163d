package report

import (
	"cmp"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// many is how many requests are counted after a report. If there are more, somebody sends
// the signal in a loop: it is then not listened to until the next report is due. A signal
// that wakes a goroutine costs the program 0.1 ms, one that the runtime drops a few
// microseconds.
const many = 10

// listen subscribes to the signal.
func (r *Reporter) listen() {
	r.Signals = make(chan os.Signal, 1)
	if r.Signal != nil {
		signal.Notify(r.Signals, r.Signal)
	}
}

// unlistenLocked ends the subscription. The caller holds r.mu.
func (r *Reporter) unlistenLocked() {
	if r.Signals != nil {
		signal.Stop(r.Signals)
	}
}

// Received is called with a signal from Signals.
func (r *Reporter) Received() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requestLocked("")
	if r.skipped < many || r.deaf || r.stopped || !harmless(r.Signal) {
		return
	}
	wait := time.Until(r.began.Add(cmp.Or(r.interval, Interval)))
	if wait <= 0 { // a report takes longer than that
		return
	}
	r.deaf = true
	signal.Stop(r.Signals)
	r.goLocked(func() {
		r.sleep(wait)
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.stopped {
			r.deaf = false
			signal.Notify(r.Signals, r.Signal)
		}
	})
}

// harmless reports whether nothing happens to the program if the signal comes and nobody
// listens. The runtime drops these signals, if it has handlers for all signals: where Go
// is a library in a C program, the signal would end the program.
func harmless(sig os.Signal) bool {
	s, ok := sig.(syscall.Signal)
	return ok && sigset.Harmless(s) && isExecutable()
}

// isExecutable reports whether the program was built as an executable, as far as that is
// known.
func isExecutable() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-buildmode" {
			return s.Value == "exe" || s.Value == "pie"
		}
	}
	return false
}
