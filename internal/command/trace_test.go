package command

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// TestATraceThatIsTooLargeEndsEarly checks that a large trace is stopped and is
// complete. A trace that is cut off anywhere cannot be read.
func TestATraceThatIsTooLargeEndsEarly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace")
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() { makeEvents(&stop) })
	defer wg.Wait()
	defer stop.Store(true)
	s := &testSession{}
	pieces, err := recordTrace(t.Context(), s, time.Hour, 1<<20)
	require.NoError(t, err)
	r := recording{file: file}
	require.NoError(t, r.deliver(t.Context(), s, pieces))
	require.Regexp(t, `^warning: the trace was stopped after [\d.]+m?s, when it had [\d.]+ [KM]iB; it is complete up to that point\n`+
		`[\d.]+ [KM]iB written to `, s.out.String())
	require.False(t, trace.IsEnabled())
	stop.Store(true)
	parsed := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "tool", "trace", "-d=parsed", file)
		cmd.WaitDelay = testwait.Patience
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	text, err := parsed()
	require.NoError(t, err, text)
	require.Contains(t, text, "command.makeEvents")

	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, whole[:len(whole)/2], 0o600))
	_, err = parsed()
	require.ErrorAs(t, err, new(*exec.ExitError), "what is cut off cannot be read")
}

func TestATraceOverTheLimitIsLost(t *testing.T) {
	b := &traceBuffer{most: 10, full: make(chan struct{})}
	for range 3 {
		_, _ = b.Write(make([]byte, 6))
	}
	testwait.Receive(t, b.full, "the trace to be full")
	_, _ = b.Write(make([]byte, traceRest))
	require.True(t, b.lost)
	require.Equal(t, 18, b.n)
}

func makeEvents(stop *atomic.Bool) {
	for !stop.Load() {
		trace.Log(context.Background(), "key", "value")
	}
}
