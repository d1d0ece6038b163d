// Package vitals reads how the process is, from sources that stop nothing:
// runtime/metrics, getrusage and /proc.
package vitals

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// Sample is the state of the process at one moment. What a source does not have
// (an older runtime, another system) is zero.
type Sample struct {
	At    time.Time
	Usage Usage
	Procs int // GOMAXPROCS

	Goroutines, Running, Runnable, Waiting, InSyscall uint64
	Created                                           uint64 // goroutines, ever
	Threads                                           uint64

	HeapObjects, LiveHeap, HeapGoal uint64  // bytes; LiveHeap is what the last collection left
	Stacks                          uint64  // bytes
	FromSystem, Released            uint64  // bytes; FromSystem holds what was released
	Limit                           uint64  // bytes; NoLimit if there is none
	GOGC                            uint64  // percent; above 1<<31 it is off
	Cycles                          uint64  // of the collector, ever
	LimiterOn                       uint64  // the last cycle in which the collector was held back to half the CPU; 0: none
	CollectorCPU, TotalCPU          float64 // seconds
	MutexWait                       float64 // seconds that those waited who have got their lock

	latencies *metrics.Float64Histogram
}

// NoLimit is the memory limit of a program that has none.
const NoLimit = math.MaxInt64

// Usage is the CPU time that the process has used so far.
type Usage struct {
	At           time.Time
	User, System time.Duration
}

// Running is how many goroutines run or could run, the caller included. A thread
// that looks for one to run counts for a moment too.
func Running() uint64 {
	samples := []metrics.Sample{{Name: "/sched/goroutines/running:goroutines"}, {Name: "/sched/goroutines/runnable:goroutines"}}
	metrics.Read(samples)
	var n uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			n += s.Value.Uint64()
		}
	}
	return n
}

// StackBytes is the memory of all stacks.
func StackBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// Read takes a sample.
func Read() Sample {
	s := Sample{At: time.Now(), Usage: ReadUsage(), Procs: runtime.GOMAXPROCS(0)}
	numbers := [...]struct {
		name string
		to   *uint64
	}{
		{"/sched/goroutines:goroutines", &s.Goroutines},
		{"/sched/goroutines/running:goroutines", &s.Running},
		{"/sched/goroutines/runnable:goroutines", &s.Runnable},
		{"/sched/goroutines/waiting:goroutines", &s.Waiting},
		{"/sched/goroutines/not-in-go:goroutines", &s.InSyscall},
		{"/sched/goroutines-created:goroutines", &s.Created},
		{"/sched/threads/total:threads", &s.Threads},
		{"/gc/heap/live:bytes", &s.LiveHeap},
		{"/gc/heap/goal:bytes", &s.HeapGoal},
		{"/gc/gomemlimit:bytes", &s.Limit},
		{"/memory/classes/heap/objects:bytes", &s.HeapObjects},
		{"/memory/classes/heap/stacks:bytes", &s.Stacks},
		{"/memory/classes/total:bytes", &s.FromSystem},
		{"/memory/classes/heap/released:bytes", &s.Released},
		{"/gc/cycles/total:gc-cycles", &s.Cycles},
		{"/gc/gogc:percent", &s.GOGC},
		{"/gc/limiter/last-enabled:gc-cycle", &s.LimiterOn},
	}
	const others = 4
	var samples [len(numbers) + others]metrics.Sample
	for i, n := range numbers {
		samples[i].Name = n.name
	}
	rest := samples[len(numbers):]
	rest[0].Name = "/cpu/classes/gc/total:cpu-seconds"
	rest[1].Name = "/cpu/classes/total:cpu-seconds"
	rest[2].Name = "/sync/mutex/wait/total:seconds"
	rest[3].Name = "/sched/latencies:seconds"
	metrics.Read(samples[:])
	for i, n := range numbers {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			*n.to = samples[i].Value.Uint64()
		}
	}
	// The runtime's own, which wait nearly always, are none of the program's.
	n := uint64(runtime.NumGoroutine())
	s.Waiting -= min(s.Goroutines-min(n, s.Goroutines), s.Waiting)
	s.Goroutines = n
	for i, to := range []*float64{&s.CollectorCPU, &s.TotalCPU, &s.MutexWait} {
		if rest[i].Value.Kind() == metrics.KindFloat64 {
			*to = rest[i].Value.Float64()
		}
	}
	if rest[3].Value.Kind() == metrics.KindFloat64Histogram {
		s.latencies = rest[3].Value.Float64Histogram()
	}
	return s
}

// CPUs is how many processors were busy between two moments, on average, and
// which part of that was the program's own code and not the system's.
func CPUs(before, after Usage) (busy, user float64) {
	wall := after.At.Sub(before.At)
	used := after.User + after.System - before.User - before.System
	if wall <= 0 || used <= 0 {
		return 0, 0
	}
	return float64(used) / float64(wall), float64(after.User-before.User) / float64(used)
}

// InUse is the memory that counts towards the memory limit, in bytes.
func (s Sample) InUse() uint64 { return s.FromSystem - s.Released }

// Latency is for how long goroutines that could run waited for a processor
// between two samples: the time that 99 of 100 did not exceed. It is zero where
// none waited.
func Latency(before, after Sample) time.Duration {
	if after.latencies == nil {
		return 0
	}
	return percentile(before.latencies, after.latencies, 0.99)
}

// Runs is about how many times a goroutine was given a processor between two
// samples. The runtime keeps account of every eighth (gTrackingPeriod in proc.go).
func Runs(before, after Sample) (n uint64) {
	if after.latencies == nil {
		return math.MaxUint64 // it is not known
	}
	for i := range after.latencies.Counts {
		n += after.latencies.Counts[i]
		if before.latencies != nil {
			n -= before.latencies.Counts[i]
		}
	}
	return 8 * n
}

// percentile is the upper bound of the bucket that holds the p-th part of what
// was added to a histogram of seconds since before, which may be nil.
func percentile(before, after *metrics.Float64Histogram, p float64) time.Duration {
	added := func(i int) uint64 {
		if before == nil || i >= len(before.Counts) {
			return after.Counts[i]
		}
		return after.Counts[i] - before.Counts[i]
	}
	var total, seen uint64
	for i := range after.Counts {
		total += added(i)
	}
	for i := range after.Counts {
		seen += added(i)
		if n := added(i); n > 0 && float64(seen) >= p*float64(total) {
			return bucketEnd(after, i)
		}
	}
	return 0
}

// bucketEnd is the upper bound of a bucket; of the last, which has none, the lower.
func bucketEnd(h *metrics.Float64Histogram, i int) time.Duration {
	end := h.Buckets[i+1]
	if math.IsInf(end, 1) {
		end = h.Buckets[i]
	}
	return time.Duration(end * float64(time.Second))
}

// Stops are the times for which the world was stopped for another reason than
// the collector's, such as a dump of all stacks.
type Stops struct{ h *metrics.Float64Histogram }

// ReadStops reads how long the stops were so far.
func ReadStops() Stops {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return Stops{}
	}
	return Stops{sample[0].Value.Float64Histogram()}
}

// Longest is the longest stop since before, exact to a quarter; 0 if there was none.
func (s Stops) Longest(before Stops) time.Duration {
	if s.h == nil || before.h == nil {
		return 0
	}
	return percentile(before.h, s.h, 1)
}

// Bytes is a number of bytes in binary units, with three digits.
func Bytes(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 1023.5 && unit < 6 {
		value /= 1 << 10
		unit++
	}
	digits := max(0, 2-int(math.Log10(value)))
	return fmt.Sprintf("%.*f %ciB", digits, value, " KMGTPE"[unit])
}
