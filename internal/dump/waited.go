package dump

import (
	"runtime/debug"
	"time"
)

// waitedAtLeast returns a function that returns how many minutes a goroutine has waited at
// least, if a traceback says that it has waited for some. A traceback may say too many: the
// first collection that sees a goroutine wait notes the end of the collection before it as
// the beginning (waitsince, which markroot sets to work.tstart; Go 1.26 and 1.27). In a
// program that does little, that is two minutes too early.
func waitedAtLeast() func(minutes int) int {
	var collections debug.GCStats
	debug.ReadGCStats(&collections)
	return atLeast(collections.PauseEnd, int(collections.NumGC), time.Now())
}

// atLeast is waitedAtLeast, for the ends of the last collections, the latest first, and
// the number of all. What is older than these ends is not known. Then collections are so
// frequent that a traceback is nearly right.
func atLeast(ends []time.Time, all int, now time.Time) func(minutes int) int {
	const slack = time.Second // what is noted is a bit earlier than the end
	return func(minutes int) int {
		since := now.Add(-time.Duration(minutes) * time.Minute).Add(slack)
		noted := now
		for i, end := range ends {
			if !end.After(since) {
				break
			}
			if noted = end; i == len(ends)-1 && all > len(ends) {
				return minutes - 1
			}
		}
		return int(now.Sub(noted) / time.Minute)
	}
}
