// Package vitals reads the vital signs of the process: goroutines, memory, CPU time
// and descriptors. Its sources are runtime/metrics, getrusage and /proc, none of
// which stops the program.
package vitals

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// Sample is the state of the process at one moment. A value is zero if its source
// does not have it (an older runtime, another system).
type Sample struct {
	At    time.Time
	Usage Usage
	Procs int // GOMAXPROCS; of another process, how many CPUs it can use

	Goroutines, Running, Runnable, Waiting, InSyscall uint64
	Created                                           uint64 // goroutines started since the process began
	Threads                                           uint64

	HeapObjects, LiveHeap, HeapGoal uint64  // bytes; LiveHeap is what survived the last collection
	Freed                           uint64  // bytes of heap that collections have freed since the process began
	Stacks                          uint64  // bytes
	FromSystem, Released            uint64  // bytes; FromSystem includes Released
	Limit                           uint64  // bytes; NoLimit if there is no limit
	GOGC                            uint64  // percent; above 1<<31 it is off
	Cycles                          uint64  // collections since the process began
	LimiterOn                       uint64  // the last cycle in which the collector was limited to half the CPU; 0: none
	CollectorCPU, TotalCPU          float64 // seconds
	MutexWait                       float64 // seconds; counts only waits that are over

	latencies *metrics.Float64Histogram
}

// NoLimit is the value of Limit in a program without a memory limit.
const NoLimit = math.MaxInt64

// Usage is the CPU time that the process has used so far.
type Usage struct {
	At           time.Time
	User, System time.Duration
}

// Running returns the number of goroutines that are running or runnable, with the
// caller. A thread that looks for work is counted too, for a moment.
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

// StackBytes returns the memory of all stacks, in bytes.
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
		{"/gc/heap/frees:bytes", &s.Freed},
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
	// Leave out the runtime's own goroutines. They nearly always wait.
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

// CPUs returns how many CPUs were busy between two moments, on average, and which
// part of that time was spent in user mode.
func CPUs(before, after Usage) (busy, user float64) {
	wall := after.At.Sub(before.At)
	used := after.User + after.System - before.User - before.System
	if wall <= 0 || used <= 0 {
		return 0, 0
	}
	// The user time of another process is known less exactly than the sum.
	return float64(used) / float64(wall), min(float64(after.User-before.User)/float64(used), 1)
}

// InUse returns the memory that counts towards the memory limit, in bytes.
func (s Sample) InUse() uint64 { return s.FromSystem - s.Released }

// Latency returns how long runnable goroutines waited for a CPU between two
// samples: 99 of 100 waits were not longer. It is zero if no goroutine waited.
func Latency(before, after Sample) time.Duration {
	if after.latencies == nil {
		return 0
	}
	return percentile(before.latencies, after.latencies, 0.99)
}

// Runs returns about how often a goroutine began to run on a CPU between two
// samples. The runtime records every eighth time (gTrackingPeriod in proc.go).
func Runs(before, after Sample) (n uint64) {
	if after.latencies == nil {
		return math.MaxUint64 // not known
	}
	for i := range after.latencies.Counts {
		n += after.latencies.Counts[i]
		if before.latencies != nil {
			n -= before.latencies.Counts[i]
		}
	}
	return 8 * n
}

// percentile returns the p-quantile of the values that were added to a histogram
// of seconds since before, as the upper bound of its bucket. before may be nil.
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

// bucketEnd returns the upper bound of a bucket. The last bucket has none; for it,
// bucketEnd returns the lower bound.
func bucketEnd(h *metrics.Float64Histogram, i int) time.Duration {
	end := h.Buckets[i+1]
	if math.IsInf(end, 1) {
		end = h.Buckets[i]
	}
	return time.Duration(end * float64(time.Second))
}

// Stops contains the durations for which the world was stopped, either for garbage
// collections or for other reasons.
type Stops struct{ h *metrics.Float64Histogram }

// ReadStops reads the durations of all stops so far that were not for garbage
// collections. A listing of all stacks is such a stop.
func ReadStops() Stops { return readStops("/sched/pauses/total/other:seconds") }

// ReadCollectorStops reads the durations of all stops so far for garbage collections.
func ReadCollectorStops() Stops { return readStops("/sched/pauses/total/gc:seconds") }

func readStops(name string) Stops {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return Stops{}
	}
	return Stops{sample[0].Value.Float64Histogram()}
}

// Longest returns the longest stop since before, with an error of up to a quarter;
// 0 if there was none.
func (s Stops) Longest(before Stops) time.Duration {
	if s.h == nil || before.h == nil {
		return 0
	}
	return percentile(before.h, s.h, 1)
}

// Bytes formats a number of bytes in binary units, with three digits.
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
