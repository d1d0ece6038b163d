//go:build linux || darwin || freebsd

package oneshot

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

// stuckHandler is a log that waits, as one that writes to a full pipe does.
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

func TestAStuckLoggerLosesRecordsAndNothingElse(t *testing.T) {
	var out testwait.Buffer
	release, letGo := gate(t)
	h := stuckHandler{slog.NewTextHandler(&out, nil), make(chan struct{}, 2*maxQueued), release}
	l := &asyncLog{logger: slog.New(h)}
	l.info("first")
	testwait.Receive(t, h.entered, "the log to write its first record")
	const lost = 10
	for range maxQueued + lost {
		l.warn("more")
	}
	gaveUp := make(chan struct{})
	go func() {
		l.flush(time.Millisecond)
		close(gaveUp)
	}()
	testwait.Receive(t, gaveUp, "flush to give up")
	letGo()
	l.flush(testwait.Patience)
	require.Equal(t, maxQueued, strings.Count(out.String(), "oneshot: more"))
	require.Contains(t, out.String(), "records=10")
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Handle(context.Context, slog.Record) error { panic("the program's own fault") }

func TestAPanickingLoggerDoesNotEndTheProgram(t *testing.T) {
	l := &asyncLog{logger: slog.New(panickingHandler{slog.DiscardHandler.WithGroup("x")})}
	l.error("one")
	l.error("two")
	eventually(t, l.written, "the log does not go on")
}

// written reports whether nothing is queued and nobody writes.
func (l *asyncLog) written() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0 && l.idle == nil
}

func TestARecordHasTheTimeOfItsEvent(t *testing.T) {
	var out testwait.Buffer
	l := &asyncLog{logger: slog.New(slog.NewJSONHandler(&out, nil))}
	queued := time.Now()
	l.later(queued, slog.LevelInfo, "window open")
	for !time.Now().After(queued.Add(time.Millisecond)) { // the clock is to go on, which ends it
	}
	l.start()
	l.flush(testwait.Patience)
	_, rest, _ := strings.Cut(out.String(), `"time":"`)
	stamp, _, _ := strings.Cut(rest, `"`)
	logged, err := time.Parse(time.RFC3339Nano, stamp)
	require.NoError(t, err)
	require.False(t, logged.After(queued))
}

func TestTheDefaultLoggerIsTheOneOfTheMoment(t *testing.T) {
	var out testwait.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	l := &asyncLog{}
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	l.info("hello")
	l.flush(testwait.Patience)
	require.Contains(t, out.String(), "oneshot: hello")
}

type exitingHandler struct{ slog.Handler }

func (exitingHandler) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

func TestALoggerThatEndsItsGoroutine(t *testing.T) {
	var out testwait.Buffer
	l := &asyncLog{logger: slog.New(exitingHandler{slog.NewTextHandler(&out, nil)})}
	l.info("one")
	l.info("two")
	l.flush(testwait.Patience)
	l.logger = slog.New(slog.NewTextHandler(&out, nil))
	l.info("three")
	eventually(t, func() bool { return strings.Contains(out.String(), "oneshot: three") }, "the log has ended")
}
