package vitals

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStopsAreCountedOnce stops the world in both ways: for a collection, and for a listing
// of all stacks.
func TestStopsAreCountedOnce(t *testing.T) {
	var a AllStops
	count, longest, total := a.Since()
	require.Zero(t, count)
	require.Zero(t, longest)
	require.Zero(t, total)
	buf := make([]byte, 1<<16)
	const listings = 300
	for range listings {
		runtime.Stack(buf, true)
	}
	count, longest, total = a.Since()
	require.GreaterOrEqual(t, count, uint64(listings))
	require.Positive(t, longest)
	require.GreaterOrEqual(t, total, longest)
	require.LessOrEqual(t, total, time.Duration(count)*longest)

	runtime.GC()
	count, longest, _ = a.Since()
	require.GreaterOrEqual(t, count, uint64(2), "a collection stops the world twice")
	require.Positive(t, longest)
	require.Less(t, count, uint64(listings), "the stops before are counted again")
}
