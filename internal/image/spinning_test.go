//go:build linux && (amd64 || arm64)

package image_test

import (
	"slices"
	"strings"
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

// callsOfSpinning are those that a goroutine of testdata/parked/spinning.go can have, the
// outermost first, as many as there can be.
func callsOfSpinning() map[string][]string {
	return map[string][]string{
		"main.main":             {"main.main"},
		"main.tight":            {"main.tight"},
		"main.calls":            {"main.calls", "main.caller", "main.callee"},
		"main.throughPointer":   {"main.throughPointer", "main.wide"},
		"main.throughInterface": {"main.throughInterface", "main.(*triple).times"},
		"main.recursion":        append([]string{"main.recursion"}, slices.Repeat([]string{"main.recurse"}, 21)...),
	}
}

func checkSpinning(t *testing.T, r runningProgram) {
	t.Helper()
	const looks = 20 // at each of the goroutines while it runs
	p, can := r.open(t), callsOfSpinning()
	known, all, whole := map[string]int{}, 0, 0
	testwait.Eventually(t, func() bool {
		s, err := p.Snapshot(nothing)
		require.NoError(t, err)
		for _, g := range append(r.compare(t, s, "spinning"), each(s)[1]) {
			require.Equal(t, len(g.Frames) > 0 && g.State == "running", g.LastCalls)
			if g.State != "running" {
				continue
			}
			all++
			if n := len(g.Frames); n == 1 && strings.HasPrefix(g.Frames[0].Function, "main.main.gowrap") {
				known["main.throughInterface"]++
			} else if n > 0 && canBe(g.Frames, can[g.Frames[n-1].Function]) {
				known[g.Frames[n-1].Function]++
				whole += min(n-1, 1)
			} else {
				t.Logf("%v", g)
			}
		}
		time.Sleep(5 * time.Millisecond) // so that another one may have been interrupted
		for f := range can {
			if known[f] < looks {
				return false
			}
		}
		return true
	}, "not each of them was seen %d times while it ran, but %v, of %d", looks, known, &all)
	right := 0
	for _, n := range known {
		right += n
	}
	t.Logf("seen %d times while they ran, %d times with calls that can be: %v; %d of them with what was called", all, right, known, whole)
	require.Greater(t, 10*right, 9*all, "until it is interrupted, a goroutine has what is left of its beginning, but no longer")
	require.Greater(t, 10*whole, all, "too many have only the function that they began with")
}

// canBe reports whether calls are the first of those that a goroutine can have.
func canBe(frames []stack.Frame, calls []string) bool {
	if len(frames) > len(calls) {
		return false
	}
	for i, f := range frames {
		if calls[len(frames)-1-i] != f.Function {
			return false
		}
	}
	return true
}
