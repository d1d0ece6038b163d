// Package asynclog hands log records to the program's logger without ever waiting
// for it. It knows nothing of what is logged.
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

// maxQueued is how many log records may wait for a logger that is stuck. What
// comes then is counted and dropped.
const maxQueued = 256

// Log hands records to a slog.Logger without ever waiting for it: the logger may
// write to a pipe that nobody reads, or need a lock that the program never
// releases. A goroutine exists only while there are records. The methods may be
// called from any goroutine.
type Log struct {
	Logger *slog.Logger // nil: slog.Default() at the time of the record

	mu      sync.Mutex // guards what follows
	queue   []entry
	dropped int
	idle    chan struct{} // closed when the writer has ended; nil: none runs
}

type entry struct {
	logger *slog.Logger
	record slog.Record
}

// Info logs at slog.LevelInfo. The arguments are those of slog.Logger.Info.
func (l *Log) Info(msg string, args ...any) { l.add(slog.LevelInfo, msg, args) }

// Warn logs at slog.LevelWarn.
func (l *Log) Warn(msg string, args ...any) { l.add(slog.LevelWarn, msg, args) }

// Error logs at slog.LevelError.
func (l *Log) Error(msg string, args ...any) { l.add(slog.LevelError, msg, args) }

func (l *Log) add(level slog.Level, msg string, args []any) {
	l.Later(time.Now(), level, msg, args...)
	l.Start()
}

// Later queues a record without writing it, for moments in which another
// goroutine would delay something else. A call of Start must follow. The time of
// the record is when the event happened, not when it is written.
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

// Start starts a goroutine that writes the queue, if there is none.
func (l *Log) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && l.idle == nil {
		l.idle = make(chan struct{})
		ours.Go(l.drain)
	}
}

func (l *Log) drain() {
	defer func() {
		l.mu.Lock()
		close(l.idle)
		l.idle = nil
		l.mu.Unlock()
		l.Start() // for what came meanwhile, or after a handler that has ended this goroutine
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

// surviveSIGPIPE keeps a record from ending the program, until the returned
// function is called. If nobody reads the pipe at the standard output or error
// any more, os.File raises SIGPIPE, which ends a program that is not notified of
// it (os/signal). A program that never writes there would die because of the
// manhole's log. What the program itself writes there at the same moment does not
// end it either.
func surviveSIGPIPE(h slog.Handler) (done func()) {
	broken := unixsock.HungUp(2)
	if fmt.Sprintf("%T", h) != "*slog.defaultHandler" { // that has nothing to do with the standard output
		broken = broken || unixsock.HungUp(1)
	}
	if !broken || signal.Ignored(syscall.SIGPIPE) { // to be notified would end its being ignored
		return func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}

// Flush waits until all records have been written, but not longer than d.
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
