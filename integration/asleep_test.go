//go:build linux

package integration

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nothingRuns is what the first screen says of a program in which nothing can run again.
const nothingRuns = "nothing in this program can run again"

// TestAProgramInWhichNothingCanRunAgain has a finding with the places where it waits. The
// runtime does not see it any more, because a program with a manhole listens to a signal.
func TestAProgramInWhichNothingCanRunAgain(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{
		"asleep-dead-group":    "main.init.",
		"asleep-dead-channels": "main.init.",
		"asleep-dead-cond":     "main.init.",
		"asleep-dead-stopped":  "main.init.",
		"deadlocked":           "main.init.",
	} {
		t.Run(name, func(t *testing.T) {
			c := startIn(t, name)
			// On a busy machine, it may not be found out at once that nobody listens to
			// a signal. The second time, the program has had a session before.
			for _, input := range []string{"exit\n", "stacks\n"} {
				var finding string
				eventually(t, func() (found bool) {
					_, finding, found = strings.Cut(c.session(t, input), "1. "+nothingRuns)
					return found
				}, "not found: %s", name)
				require.Contains(t, finding, "no timer, signal, connection or system call is left that could wake one")
				require.Contains(t, finding, place)
			}
		})
	}
}

// TestAProgramThatWaitsIsNotDead because a timer, a signal, the network, input or a child
// wakes it.
func TestAProgramThatWaitsIsNotDead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"ticker", "select", "func", "context", "sleep", "signal", "quit", "usr1", "notify-context", "network", "input", "child", "wait",
	} {
		t.Run(name, func(t *testing.T) {
			c := startIn(t, "asleep-"+name)
			for range 3 {
				require.NotContains(t, c.session(t, "stacks\n"), nothingRuns)
			}
		})
	}
	t.Run("C code", func(t *testing.T) { // its threads may call Go at any time
		c := start(t, exec.Command(plain(t, "./cgoprogram")), "ready")
		require.NotContains(t, c.session(t, "stacks\n"), nothingRuns)
	})
}
