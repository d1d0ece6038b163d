package oneshot

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/unixsock"
)

// maxQueued is how many log records may wait for a logger that is stuck. What
// comes then is counted and dropped.
const maxQueued = 256

// asyncLog hands records to a slog.Logger without ever waiting for it: the
// logger may write to a pipe that nobody reads, or need a lock that the program
// never gives back. There is a goroutine only while there are records.
type asyncLog struct {
	logger *slog.Logger // nil: slog.Default() at the time of the record

	mu      sync.Mutex // guards what follows
	queue   []entry
	dropped int
	idle    chan struct{} // closed when the writer has ended; nil: none runs
}

type entry struct {
	logger *slog.Logger
	record slog.Record
}

func (l *asyncLog) info(msg string, args ...any)  { l.add(slog.LevelInfo, msg, args) }
func (l *asyncLog) warn(msg string, args ...any)  { l.add(slog.LevelWarn, msg, args) }
func (l *asyncLog) error(msg string, args ...any) { l.add(slog.LevelError, msg, args) }

func (l *asyncLog) add(level slog.Level, msg string, args []any) {
	l.later(time.Now(), level, msg, args...)
	l.start()
}

// later queues a record without writing it, for moments in which another
// goroutine would be in the way; start must follow. The time of a record is when
// the thing happened, not when the logger had room for it.
func (l *asyncLog) later(when time.Time, level slog.Level, msg string, args ...any) {
	r := slog.NewRecord(when, level, "oneshot: "+msg, 0)
	r.Add(args...)
	logger := l.logger
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

// start has the queue written.
func (l *asyncLog) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && l.idle == nil {
		l.idle = make(chan struct{})
		go func() { l.drain() }()
	}
}

func (l *asyncLog) drain() {
	defer func() {
		l.mu.Lock()
		close(l.idle)
		l.idle = nil
		l.mu.Unlock()
		l.start() // for what came meanwhile, or after a handler that has ended this goroutine
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

// write calls the program's handler, whose panic must not end the program: it
// would not have happened without us.
func (e entry) write() {
	defer func() { _ = recover() }()
	ctx := context.Background()
	if h := e.logger.Handler(); h.Enabled(ctx, e.record.Level) {
		defer surviveSIGPIPE(h)()
		_ = h.Handle(ctx, e.record) // there is nowhere to report a failing log to
	}
}

// surviveSIGPIPE keeps a record from ending the program, until the returned
// function is called. os.File has the runtime do that if the standard output or
// error is a pipe that nobody reads any more, unless somebody is notified of
// SIGPIPE (os/signal). A program that never writes there would live on but for us;
// what it writes there at the same moment does not end it either.
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

// flush waits until all that was logged has been written, at most for d.
func (l *asyncLog) flush(d time.Duration) {
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
