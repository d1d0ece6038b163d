package leakproof

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/vitals"
)

// TestOfManyGoroutinesTheProofIsNotCheap: what the first screen does by itself must not
// stop a program for a millisecond, and must not collect a large heap that is left alone.
func TestOfManyGoroutinesTheProofIsNotCheap(t *testing.T) {
	small := vitals.Sample{Procs: 2, Goroutines: 1000, HeapObjects: 1 << 20}
	require.True(t, Cheap(small))
	crowd := small
	crowd.Goroutines = 3000
	require.Greater(t, Estimate(crowd).Stop, time.Millisecond)
	require.False(t, Cheap(crowd))
	uncollected := small
	uncollected.HeapObjects = 64 << 20
	require.False(t, Cheap(uncollected), "it has not been collected yet, so it may be full of small objects")
}

// TestAProgramThatCollectsAllTheTimeCanBeCollectedOnceMore: what a collection costs is
// taken from those that the program has made.
func TestAProgramThatCollectsAllTheTimeCanBeCollectedOnceMore(t *testing.T) {
	now := vitals.Sample{Procs: 2, Goroutines: 100, HeapObjects: 64 << 20, Cycles: 100, CollectorCPU: 1, TotalCPU: 2 * 3600}
	require.True(t, Cheap(now), "two collections of 10 ms each")
	now.CollectorCPU = 5
	require.False(t, Cheap(now), "two collections of 50 ms, and there was one every 36 s")
	now.TotalCPU = 2 * 100
	require.True(t, Cheap(now), "the same, but there is one each second")
	now.CollectorCPU = 50
	require.False(t, Cheap(now), "two collections of 500 ms")
}

// TestTakeMarksWhatNothingCanReach uses the collector. The goroutine stays leaked: there
// is no way to end it.
func TestTakeMarksWhatNothingCanReach(t *testing.T) {
	if !Available() {
		// Without the profile there is nothing to take. That the releases which must have it do have it:
		require.True(t, strings.HasPrefix(runtime.Version(), "go1.26"), "%s cannot prove leaks", runtime.Version())
		return
	}
	go func() { <-make(chan int) }()
	require.Eventually(t, func() bool {
		cost, err := Take()
		require.NoError(t, err)
		require.Positive(t, cost.CPU)
		require.Positive(t, cost.Stop)
		buf := make([]byte, 1<<20)
		return strings.Contains(string(buf[:runtime.Stack(buf, true)]), "[chan receive (leaked)]")
	}, 20*time.Second, 10*time.Millisecond, "the runtime's traceback has no mark")
}
