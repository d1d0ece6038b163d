package testwait

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The share of the CPU time that a process wants, with which it is seen to use a CPU, and
// with which it makes progress.
const (
	most = 0.6
	some = 0.25
)

// Looks calls look until it reports that it has found something, at least three times
// and until Patience has passed. It is for what a program shows only while it gets a
// CPU. So look also returns the result of CPUOf for its time. If nothing is found, the
// test fails, unless other programs had the CPUs during each look: then it is skipped.
func Looks(t testing.TB, look func() (found bool, share float64), what string, args ...any) {
	t.Helper()
	looks(t, math.MaxInt, most, Patience, look, what, args...)
}

// ThreeLooks is Looks for what each look should find. It ends after three looks
// during which the program made progress.
func ThreeLooks(t testing.TB, look func() (found bool, share float64), what string, args ...any) {
	t.Helper()
	looks(t, 3, some, Patience, look, what, args...)
}

// looks ends after tries looks during which the program had enough of a CPU.
func looks(t testing.TB, tries int, enough float64, patience time.Duration, look func() (found bool, share float64), what string, args ...any) {
	t.Helper()
	best, had := 0.0, 0
	for try, deadline := 0, time.Now().Add(patience); had < tries && (try < 3 || time.Now().Before(deadline)); try++ {
		found, share := look()
		if found {
			return
		}
		best = max(best, share)
		if share >= enough {
			had++
		}
	}
	if best < enough {
		t.Skipf("needs a CPU that other programs do not use: at no look had the program more than %.0f%% of the CPU time that it wanted", 100*best)
	}
	require.FailNowf(t, "not as it should be at any look", what, args...)
}

// CPUOf returns a function that returns which share of the CPU time that a process has
// wanted since then it has got. It is 1 where the system does not say that.
func CPUOf(pid int) (share func() float64) {
	before := schedstat(pid)
	return func() float64 {
		var ran, waited time.Duration
		for thread, now := range schedstat(pid) { // without the threads that have ended
			ran += now.ran - before[thread].ran
			waited += now.waited - before[thread].waited
		}
		if ran+waited <= 0 {
			return 1
		}
		return float64(ran) / float64(ran+waited)
	}
}

// cpuTime is how long a thread has run, and how long it has waited for a CPU.
type cpuTime struct{ ran, waited time.Duration }

// schedstat returns the times of the threads of a process. The kernel's documentation
// describes the file in sched-stats.
func schedstat(pid int) map[string]cpuTime {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is right
	times := map[string]cpuTime{}
	for _, file := range files {
		var c cpuTime
		if text, err := os.ReadFile(file); err == nil { // otherwise the thread has ended
			if _, err := fmt.Sscan(string(text), &c.ran, &c.waited); err == nil {
				times[file] = c
			}
		}
	}
	return times
}
