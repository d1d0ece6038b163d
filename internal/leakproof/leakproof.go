// Package leakproof has the garbage collector prove which goroutines can never continue:
// nothing that may still run can reach what they wait for. The runtime keeps the proof as
// a mark, "(leaked)", in the state of these goroutines. It can do so from Go 1.27 on, and
// in Go 1.26 if the program was built with GOEXPERIMENT=goroutineleakprofile.
package leakproof

import (
	"io"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/internal/vitals"
)

// Available reports whether the release that the program was built with can do it.
func Available() bool { return pprof.Lookup("goroutineleak") != nil }

var mu sync.Mutex // is held while Take runs

// Cost is what a proof costs the program.
type Cost struct {
	Stop time.Duration // the longest stop of the program
	CPU  time.Duration // the CPU time of the collections
}

// The costs with Go 1.27.4. The collector goes through all goroutines in each stop. It
// was measured that 10,000 goroutines stop the program for up to 4 ms, and 100,000 for
// up to 50 ms.
const (
	stopForAll = 100 * time.Microsecond
	stopForOne = 450 * time.Nanosecond
	cpuForMiB  = 8 * time.Millisecond // of a heap of small objects
	cpuForOne  = time.Microsecond     // for the stack of a goroutine
)

const (
	collections  = 2 // see Take
	cheapStop    = time.Millisecond
	cheapCPU     = 50 * time.Millisecond
	often        = 2 * time.Second // the time from one collection to the next
	cheapIfOften = 200 * time.Millisecond
)

// Estimate says what Take would cost. now is the current state of the program. If the
// program has collected garbage before, it is known what a collection costs.
func Estimate(now vitals.Sample) Cost {
	goroutines := time.Duration(now.Goroutines)
	cost := Cost{Stop: stopForAll + goroutines*stopForOne}
	one := time.Duration(now.HeapObjects>>20)*cpuForMiB + goroutines*cpuForOne
	if now.Cycles > 0 {
		one = time.Duration(now.CollectorCPU / float64(now.Cycles) * float64(time.Second))
	}
	cost.CPU = collections * one
	return cost
}

// Cheap reports whether the proof costs so little that it need not be asked for: a stop
// below a millisecond, and collections that take hardly any CPU time, or that the program
// makes all the time anyway.
func Cheap(now vitals.Sample) bool {
	cost := Estimate(now)
	running := now.TotalCPU / float64(max(now.Procs, 1)) // seconds, at the last collection
	collects := now.Cycles > 0 && running/float64(now.Cycles) < often.Seconds()
	return cost.Stop < cheapStop && (cost.CPU < cheapCPU || collects && cost.CPU < cheapIfOften)
}

// Take has the collector look for such goroutines, and returns what it cost. It takes as
// long as two collections, and the program runs meanwhile, except in short stops. A call
// waits for another that runs, because it would count the other's cost.
func Take() (Cost, error) {
	mu.Lock()
	defer mu.Unlock()
	before, stops := vitals.Read(), vitals.ReadCollectorStops()
	// The first profile may miss goroutines if another profile was taken just before.
	for range collections {
		if err := pprof.Lookup("goroutineleak").WriteTo(io.Discard, 1); err != nil {
			return Cost{}, err
		}
	}
	return Cost{
		Stop: vitals.ReadCollectorStops().Longest(stops),
		CPU:  time.Duration((vitals.Read().CollectorCPU - before.CollectorCPU) * float64(time.Second)),
	}, nil
}
