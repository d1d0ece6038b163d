//go:build linux

package oneshot

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// stuckLogger is a logger that does not return until it is let go.
type stuckLogger struct {
	slog.Handler
	release <-chan struct{}
}

func (h stuckLogger) Enabled(context.Context, slog.Level) bool { return true }

func (h stuckLogger) Handle(context.Context, slog.Record) error {
	<-h.release
	return nil
}

// TestADumpShowsNoGoroutineOfTheManhole has many kinds of them: a receiver, an
// activation, an open window, a session with a command and with the standard
// error, and a log that is stuck.
func TestADumpShowsNoGoroutineOfTheManhole(t *testing.T) {
	release, letGo := testwait.Gate(t)
	m := install(t, Options{
		OneshotOn: syscall.SIGUSR2,
		Logger:    slog.New(stuckLogger{slog.DiscardHandler, release}),
		Commands: []Command{{Name: "hold", Run: func(ctx context.Context, _ *Session, _ []string) error {
			<-ctx.Done()
			return nil
		}}},
	})
	t.Cleanup(letGo)
	require.NoError(t, m.Activate())
	inside := connect(t, m.Path())
	inside.expect(protocol.Prompt)
	inside.do("stderr on")
	inside.send("hold\n")
	eventually(t, func() bool { return m.window() == nil }, "the window to be closed")
	kill(t, syscall.SIGUSR2)

	trace := func() string {
		tr, err := stack.TakeListing(8 << 20)
		require.NoError(t, err)
		defer tr.Release()
		return string(tr.Text)
	}
	for _, function := range []string{"receive", "stayActive", "run", "read", "perform", "forward", "writeLog", "drain", "live"} {
		eventually(t, func() bool { return strings.Contains(trace(), ")."+function+"(") }, "a goroutine in %s", function)
	}
	const creator = "created by github.com/gomanhole/oneshot/internal/ours.Go"
	require.GreaterOrEqual(t, strings.Count(trace(), creator), 8, "they are all running")
	require.NotContains(t, dumped(t, DumpOptions{Groups: -1}), creator)
	require.NotContains(t, dumped(t, DumpOptions{Groups: -1, Full: true}), creator)
	profile, err := stack.Profile(func(string) bool { return false })
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(profile.Groups), "internal/ours.Go.func1", "a profile knows them too")
	require.NoError(t, inside.Close())
}
