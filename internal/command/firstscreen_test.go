package command

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// shownCPU returns the CPU use on a first screen whose window has just been opened.
func shownCPU(t *testing.T) float64 {
	t.Helper()
	s := new(testSession)
	require.NoError(t, FirstScreen(t.Context(), s, vitals.ReadUsage(), false))
	found := regexp.MustCompile(`(?m)^CPU +([\d.]+) of \d+ for the last \S+`).FindStringSubmatch(s.out.String())
	require.NotNil(t, found, s.out.String())
	busy, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	return busy
}

// The CPU use is that of the program. The work of the manhole and of its first screen
// does not count.
func TestCPUOfABlockedProgram(t *testing.T) {
	var all []float64
	for range 15 {
		all = append(all, shownCPU(t))
	}
	slices.Sort(all)
	// The runtime may have something to do now and then, for example a collection.
	require.Zero(t, all[len(all)/2], "the median of %v", all)
}

func TestCPUOfABusyProgram(t *testing.T) {
	var stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for !stop.Load() { // the loop spins
		}
	}()
	testwait.Looks(t, func() (bool, float64) {
		share := testwait.CPUOf(os.Getpid())
		busy := shownCPU(t)
		return busy >= 0.6, share()
	}, "a spinning goroutine is not on the first screen")
}
