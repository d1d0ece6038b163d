//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAShutdownThatHangs requires that the report names the place where the program hangs,
// and that the door can still be opened, in every way of waiting.
func TestAShutdownThatHangs(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"receiver", "wait", "context", "handle", "loop"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			if (way == "receiver" || way == "context") && runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
				t.Skip("only on amd64 and arm64 the package sees a signal that it is not subscribed to")
			}
			trigger := filepath.Join(t.TempDir(), "trigger")
			c := startIn(t, "shutdown-"+way, trigger)
			require.Contains(t, c.session(t, "exit\n"), ">>> ")
			require.NotContains(t, c.stderr.String(), "oneshot: report")
			c.signal(t, syscall.SIGTERM)
			c.logs(t, "by identical stacks")
			require.Regexp(t, `text="SIGTERM came [^"]* ago, and the process is still there"`, c.stderr.String())
			require.Regexp(t, regexp.MustCompile(`(?s)text="main is here:".*main\.closeDatabase  .*What stands out`), c.stderr.String())

			windows := func() int { return strings.Count(c.stderr.String(), "window open") }
			before := windows()
			for range 3 { // each time one window, also if the loop of the program still runs
				require.Contains(t, c.session(t, "exit\n"), ">>> ")
			}
			require.NoError(t, os.WriteFile(trigger, fmt.Appendln(nil, c.Process.Pid), 0o600))
			require.Contains(t, c.answers(t, c.path), "collected in")
			eventually(t, func() bool { return windows() >= before+4 }, "windows are missing: %s", c.stderr)
			c.leftNothing(t)
			require.Equal(t, before+4, windows())
			require.Equal(t, 1, strings.Count(c.stderr.String(), "oneshot: report line=1 "))
		})
	}
}
