package vitals

import (
	"runtime/metrics"
	"time"
)

// AllStops contains the durations of all stops of the world, for garbage collections and
// for anything else, at the last call of Since.
type AllStops struct{ collector, other Stops }

// Since returns the stops since the last call; the first call returns none. The durations
// are upper bounds: the runtime counts the stops in buckets, whose ends are up to a quarter
// above their beginnings.
func (a *AllStops) Since() (count uint64, longest, total time.Duration) {
	before := *a
	*a = AllStops{ReadCollectorStops(), ReadStops()}
	for _, h := range [][2]*metrics.Float64Histogram{{before.collector.h, a.collector.h}, {before.other.h, a.other.h}} {
		if h[0] == nil || h[1] == nil {
			continue
		}
		for i, n := range h[1].Counts {
			if n -= h[0].Counts[i]; n > 0 {
				end := bucketEnd(h[1], i)
				count += n
				longest = max(longest, end)
				total += time.Duration(n) * end
			}
		}
	}
	return count, longest, total
}
