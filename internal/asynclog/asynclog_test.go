//go:build linux || darwin || freebsd

package asynclog

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// stuckHandler is a handler that waits, like one that writes to a full pipe.
type stuckHandler struct {
	slog.Handler
	entered chan struct{}
	release chan struct{}
}

func (h stuckHandler) Handle(ctx context.Context, r slog.Record) error {
	h.entered <- struct{}{}
	<-h.release
	return h.Handler.Handle(ctx, r)
}

func TestAStuckLoggerLosesOnlyRecords(t *testing.T) {
	var out testwait.Buffer
	release, letGo := testwait.Gate(t)
	h := stuckHandler{slog.NewTextHandler(&out, nil), make(chan struct{}, 2*maxQueued), release}
	l := &Log{Logger: slog.New(h)}
	l.Info("first")
	testwait.Receive(t, h.entered, "the log to write its first record")
	const lost = 10
	for range maxQueued + lost {
		l.Warn("more")
	}
	gaveUp := make(chan struct{})
	go func() {
		l.Flush(time.Millisecond)
		close(gaveUp)
	}()
	testwait.Receive(t, gaveUp, "flush to give up")
	letGo()
	l.Flush(testwait.Patience)
	require.Equal(t, maxQueued, strings.Count(out.String(), "oneshot: more"))
	require.Contains(t, out.String(), "records=10")
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Handle(context.Context, slog.Record) error { panic("the program's own fault") }

func TestAPanickingLoggerDoesNotEndTheProgram(t *testing.T) {
	l := &Log{Logger: slog.New(panickingHandler{slog.DiscardHandler.WithGroup("x")})}
	l.Error("one")
	l.Error("two")
	testwait.Eventually(t, l.written, "the log does not go on")
}

// written reports whether the queue is empty and no goroutine writes.
func (l *Log) written() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0 && l.idle == nil
}

func TestARecordHasTheTimeOfItsEvent(t *testing.T) {
	var out testwait.Buffer
	l := &Log{Logger: slog.New(slog.NewJSONHandler(&out, nil))}
	queued := time.Now()
	l.Later(queued, slog.LevelInfo, "window open")
	for !time.Now().After(queued.Add(time.Millisecond)) { // wait until the clock has advanced
	}
	l.Start()
	l.Flush(testwait.Patience)
	_, rest, _ := strings.Cut(out.String(), `"time":"`)
	stamp, _, _ := strings.Cut(rest, `"`)
	logged, err := time.Parse(time.RFC3339Nano, stamp)
	require.NoError(t, err)
	require.False(t, logged.After(queued))
}

func TestTheCurrentDefaultLoggerIsUsed(t *testing.T) {
	var out testwait.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	l := &Log{}
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	l.Info("hello")
	l.Flush(testwait.Patience)
	require.Contains(t, out.String(), "oneshot: hello")
}

type exitingHandler struct{ slog.Handler }

func (exitingHandler) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

func TestALoggerThatEndsItsGoroutine(t *testing.T) {
	var out testwait.Buffer
	l := &Log{Logger: slog.New(exitingHandler{slog.NewTextHandler(&out, nil)})}
	l.Info("one")
	l.Info("two")
	l.Flush(testwait.Patience)
	l.Logger = slog.New(slog.NewTextHandler(&out, nil))
	l.Info("three")
	testwait.Eventually(t, func() bool { return strings.Contains(out.String(), "oneshot: three") }, "the log has ended")
}
