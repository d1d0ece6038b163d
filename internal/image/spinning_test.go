//go:build linux && (amd64 || arm64)

package image_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestGoroutinesThatNeverStop looks at goroutines that run all the time, whose registers
// nobody has: it sees where the runtime has interrupted them.
func TestGoroutinesThatNeverStop(t *testing.T) {
	for _, toolchain := range releasesToRun() {
		t.Run(toolchain, func(t *testing.T) {
			checkSpinning(t, startParked(t, toolchain, "amd64", nil, "10", "spinning"))
		})
	}
}

// callsOfSpinning are those that a goroutine of testdata/parked/spinning.go can have, the outermost
// first, as many as there can be.
func callsOfSpinning() map[string][]string {
	recursion := slices.Repeat([]string{"main.recurse"}, 21)
	return map[string][]string{
		"main.tight":     {"main.tight"},
		"main.calls":     {"main.calls", "main.caller", "main.callee"},
		"main.recursion": append([]string{"main.recursion"}, recursion...),
	}
}

func checkSpinning(t *testing.T, r runningProgram) {
	t.Helper()
	const looks = 20 // at each of the goroutines while it runs
	p, can := r.open(t), callsOfSpinning()
	known, whole, unknown := map[string]int{}, 0, 0
	testwait.Eventually(t, func() bool {
		s, err := p.Snapshot(nothing)
		require.NoError(t, err)
		for _, g := range r.compare(t, s, "spinning") {
			require.Equal(t, len(g.Frames) > 0 && g.State == "running", g.LastCalls)
			switch {
			case g.State == "running" && len(g.Frames) == 0:
				unknown++
			case g.State == "running":
				requireCalls(t, g, can)
				if len(g.Frames) > 1 {
					whole++
				}
				known[g.Frames[len(g.Frames)-1].Function]++
			}
		}
		time.Sleep(5 * time.Millisecond) // so that another one may have been interrupted
		return !slices.ContainsFunc([]string{"main.tight", "main.calls", "main.recursion"}, func(f string) bool { return known[f] < looks })
	}, "not each of them was seen %d times while it ran, but %v, and %d without calls", looks, known, &unknown)
	t.Logf("seen while they ran: %v, %d of them with what they had called, and %d without calls", known, whole, unknown)
	all := known["main.tight"] + known["main.calls"] + known["main.recursion"]
	require.Less(t, 4*unknown, all, "too many are without calls")
	require.Greater(t, 10*whole, all, "too many have only the function that they began with")
}

// requireCalls requires that a goroutine can have its calls.
func requireCalls(t *testing.T, g stack.Group, can map[string][]string) {
	t.Helper()
	n := len(g.Frames)
	calls := can[g.Frames[n-1].Function]
	require.LessOrEqual(t, n, len(calls), "%v", g)
	for i, f := range g.Frames {
		require.Equal(t, calls[n-1-i], f.Function, "%v", g)
	}
}
