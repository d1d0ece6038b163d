// Package report writes what a person would see first in a session to the program's log,
// to standard error or to a new file, where nobody can come: an image may have no client.
// It does the same if a program does not end. It knows nothing about windows.
package report

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/internal/asynclog"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/values"
	"github.com/gomanhole/oneshot/internal/vitals"
)

const (
	// Interval is the shortest time between the beginnings of two reports. A request
	// that comes earlier is counted, and has no other effect.
	Interval = 10 * time.Second
	// MaxSize is the size of the largest report, in bytes. The rest is cut off.
	MaxSize = 64 << 10
)

// Reporter writes reports. The exported fields must not change after Start.
type Reporter struct {
	Dir    string        // the folder of the files; empty: the reports go to the log
	Stderr bool          // they go to standard error
	Log    *asynclog.Log // never nil
	Title  func() []byte // the first line
	Hears  func() bool   // see command.Session

	Signal   os.Signal      // asks for a report; nil: no signal does
	Signals  chan os.Signal // receives it; see Received
	Shutdown time.Duration  // see Ends; 0: no report

	stderr   asynclog.Log  // writes to standard error
	interval time.Duration // Interval, but in tests
	quit     chan struct{} // closed by Stop

	mu      sync.Mutex // guards what follows
	began   time.Time  // of the last report
	skipped int        // requests since then
	ending  bool       // Ends was called, and its report was not begun
	deaf    bool       // the signal is not listened to until the interval is over
	files   []string   // that were written, the oldest first
	stopped bool       // there are no more reports
	writing chan struct{}
	cancel  context.CancelFunc // ends the report that is being written
	work    sync.WaitGroup     // the goroutines
}

// Check returns an error for fields that cannot be used.
func (r *Reporter) Check() error {
	if r.Dir == "" {
		return nil
	}
	if r.Stderr {
		return errors.New("oneshot: ReportDir and ReportStderr are both set; leave one of them out")
	}
	return checkDir(r.Dir)
}

// Start begins to listen to the signal.
func (r *Reporter) Start() {
	r.quit = make(chan struct{})
	r.stderr.Logger = toStderr
	r.listen()
}

// Request writes a report on a goroutine of its own, unless there was one a moment ago.
// It does not wait.
func (r *Reporter) Request() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requestLocked("")
}

// requestLocked does the work of Request. reason is a line that says why there is a report
// which nobody has asked for; such a report shows more. It returns false if no report was
// begun. The caller holds r.mu.
func (r *Reporter) requestLocked(reason string) bool {
	now := time.Now()
	if r.stopped {
		return false
	}
	if r.writing != nil || !r.began.IsZero() && now.Sub(r.began) < cmp.Or(r.interval, Interval) {
		if reason == "" {
			r.skipped++
		}
		return false
	}
	skipped := r.skipped
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background()) // no time: a timer would look like one of the program
	r.began, r.skipped, r.writing, r.cancel = now, 0, ended, cancel
	r.goLocked(func() {
		defer func() {
			cancel()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.writing = nil
			close(ended)
		}()
		r.write(ctx, now, skipped, reason)
	})
	return true
}

// goLocked runs f on a goroutine for which Stop waits. The caller holds r.mu and has seen
// that stopped is false.
func (r *Reporter) goLocked(f func()) {
	r.work.Add(1)
	ours.Go(func() {
		defer r.work.Done()
		f()
	})
}

// stopTime is how long Stop waits. A file system may hang.
const stopTime = time.Second

// Stop ends the report that is being written, and waits for that, but not longer than a
// second. No other report is written after that.
func (r *Reporter) Stop() {
	r.mu.Lock()
	again := r.stopped
	r.stopped = true
	r.unlistenLocked()
	writing, cancel := r.writing, r.cancel
	r.mu.Unlock()
	if again {
		return
	}
	if r.quit != nil { // Start was called
		close(r.quit)
	}
	if writing != nil {
		cancel()
	}
	done := make(chan struct{})
	ours.Go(func() {
		r.work.Wait()
		close(done)
	})
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		r.Log.Warn("a report is still being written", "dir", r.Dir)
	}
	r.stderr.Flush(logTime)
}

// write makes the report and writes it. A panic in it does not end the program.
func (r *Reporter) write(ctx context.Context, began time.Time, skipped int, reason string) {
	defer func() {
		if v := recover(); v != nil {
			r.Log.Error("the report failed", "err", errors.New("panic: "+values.Failure(v)))
		}
	}()
	text := &bounded{}
	text.Write(r.Title())
	if reason != "" {
		fmt.Fprintln(text, reason)
	}
	if skipped > 0 {
		fmt.Fprintf(text, "%s for a report came earlier than %v after the last one\n", atLeast(skipped), Interval)
	}
	var err error
	if s := (view{text, r.Hears}); reason == "" {
		err = command.FirstScreen(ctx, s, vitals.ReadUsage(), true)
	} else {
		err = command.ShutdownScreen(ctx, s, vitals.ReadUsage())
	}
	if err != nil {
		fmt.Fprintf(text, "the report ends here: %v\n", err)
	}
	if text.cut {
		text.buf.WriteString("... (cut off: a report has at most 64 KiB)\n")
	}
	switch {
	case r.Dir != "":
		r.toFile(began, text.buf.Bytes())
	case r.Stderr:
		writeLines(ctx, &r.stderr, text.buf.String())
	default:
		writeLines(ctx, r.Log, text.buf.String())
	}
}

// atLeast counts requests. Above many, the signal may not have been listened to.
func atLeast(n int) string {
	if n >= many {
		return fmt.Sprintf("at least %d requests", n)
	}
	return plaintext.Plural(n, "request")
}

// bounded keeps the first MaxSize bytes, in whole lines.
type bounded struct {
	buf bytes.Buffer
	cut bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if fits := MaxSize - b.buf.Len(); b.cut || len(p) > fits {
		if !b.cut {
			b.buf.Write(p[:fits])
			b.buf.Truncate(bytes.LastIndexByte(b.buf.Bytes(), '\n') + 1)
		}
		b.cut = true
		return len(p), nil
	}
	return b.buf.Write(p)
}
