// Package asynclog passes log records to the program's logger without ever waiting
// for it. It does not depend on what is logged.
package asynclog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// maxQueued is how many log records may wait for a logger that is stuck. Further
// records are counted and dropped.
const maxQueued = 256

// Log passes records to a slog.Logger without ever waiting for it. The logger may
// write to a pipe that nobody reads, or need a lock that the program never
// releases. A goroutine writes the records; it exists only while there are some.
// The methods may be called from any goroutine.
type Log struct {
	Logger *slog.Logger // nil: slog.Default() at the time of the record

	mu      sync.Mutex // guards the fields below
	queue   []entry
	dropped int
	idle    chan struct{} // closed when the goroutine that writes ends; nil: none runs
}

type entry struct {
	logger *slog.Logger
	record slog.Record
}

// Info logs at slog.LevelInfo. The arguments are those of slog.Logger.Info.
//
// It is not inlined, because that would make each of its many callers larger.
//
//go:noinline
func (l *Log) Info(msg string, args ...any) { l.add(slog.LevelInfo, msg, args) }

// Warn logs at slog.LevelWarn.
//
//go:noinline
func (l *Log) Warn(msg string, args ...any) { l.add(slog.LevelWarn, msg, args) }

// Error logs at slog.LevelError.
//
//go:noinline
func (l *Log) Error(msg string, args ...any) { l.add(slog.LevelError, msg, args) }

func (l *Log) add(level slog.Level, msg string, args []any) {
	l.Later(time.Now(), level, msg, args...)
	l.Start()
}

// Later queues a record but does not start the goroutine that writes it. It is for
// moments at which that goroutine would delay more important work. The caller must
// call Start afterwards. when is the time of the event, which becomes the time of
// the record.
func (l *Log) Later(when time.Time, level slog.Level, msg string, args ...any) {
	r := slog.NewRecord(when, level, "oneshot: "+msg, 0)
	r.Add(args...)
	logger := l.Logger
	if logger == nil {
		logger = slog.Default()
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= maxQueued {
		l.dropped++
		return
	}
	l.queue = append(l.queue, entry{logger, r})
}

// Start starts the goroutine that writes the queue. It does nothing if the queue is
// empty or the goroutine already runs.
func (l *Log) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && l.idle == nil {
		l.idle = make(chan struct{})
		ours.Go(l.drain)
	}
}

// drain writes records until the queue is empty.
func (l *Log) drain() {
	defer func() {
		l.mu.Lock()
		close(l.idle)
		l.idle = nil
		l.mu.Unlock()
		l.Start() // for records that were added meanwhile, or if a handler has called runtime.Goexit
	}()
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.queue = nil
			l.mu.Unlock()
			return
		}
		e, dropped := l.queue[0], l.dropped
		l.queue, l.dropped = l.queue[1:], 0
		l.mu.Unlock()
		e.write()
		if dropped > 0 {
			lost := slog.NewRecord(time.Now(), slog.LevelWarn, "oneshot: log records lost while the logger was stuck", 0)
			lost.Add("records", dropped)
			entry{e.logger, lost}.write()
		}
	}
}

// write calls the program's handler. A panic of the handler must not end the
// program: without the manhole it would not have been called.
func (e entry) write() {
	defer func() { _ = recover() }()
	ctx := context.Background()
	if h := e.logger.Handler(); h.Enabled(ctx, e.record.Level) {
		defer surviveSIGPIPE(h)()
		_ = h.Handle(ctx, e.record) // there is nowhere to report a failing log to
	}
}

// surviveSIGPIPE ensures that writing a record does not end the program. This holds
// until the returned function is called. If standard output or standard error is a
// pipe that nobody reads any more, a write through os.File raises SIGPIPE. The
// signal ends the program unless it has called signal.Notify for it (os/signal).
// Without this function, a program that never writes there would die because of the
// manhole's log. A side effect: a write of the program itself at the same moment
// does not end it either.
func surviveSIGPIPE(h slog.Handler) (done func()) {
	broken := unixsock.HungUp(2)
	if fmt.Sprintf("%T", h) != "*slog.defaultHandler" { // the default handler does not write to standard output
		broken = broken || unixsock.HungUp(1)
	}
	if !broken || signal.Ignored(syscall.SIGPIPE) { // Notify would end the ignoring
		return func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}

// Flush waits until all records are written, but not longer than d.
func (l *Log) Flush(d time.Duration) {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
}
