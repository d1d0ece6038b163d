//go:build linux

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTopOnATerminal runs oneshot top in a terminal that changes its size. When it ends,
// the terminal shows what it did before.
func TestTopOnATerminal(t *testing.T) {
	term := newTerminal(t)
	c := startServer(t)
	shows := func(what string, condition func(now string) bool) {
		t.Helper()
		var now string
		eventually(t, func() bool {
			now = strings.TrimRight(term.tmux("capture-pane", "-p"), " \n")
			return condition(now)
		}, "the screen does not show %s, but\n%s", what, lazily(&now))
	}
	term.types("echo earlier")
	shows("the first command", func(now string) bool { return strings.HasSuffix(now, "\nearlier\n$") })
	term.types(fmt.Sprintf("%s top -every 0.2 %d", plain(t, "../cmd/oneshot"), c.Process.Pid))
	shows("a second look", func(now string) bool {
		return strings.HasPrefix(now, "server, pid ") && strings.Contains(now, "\nCPU 0.") && strings.Contains(now, "\nheap ") &&
			strings.Contains(now, "COUNT") && strings.Contains(now, "server/main.go") && !strings.Contains(now, "earlier")
	})
	term.tmux("resize-window", "-x", "40", "-y", "10")
	shows("ten short lines", func(now string) bool {
		lines := strings.Split(now, "\n")
		return len(lines) <= 10 && strings.HasPrefix(now, "server, pid ") && strings.Contains(now, "COUNT")
	})
	term.tmux("resize-window", "-x", "200", "-y", "50")
	term.tmux("send-keys", "q")
	shows("what was there before", func(now string) bool {
		return strings.Contains(now, "\nearlier\n") && strings.HasSuffix(now, "$") && !strings.Contains(now, "COUNT")
	})
	term.types("stty -a | tr ';' '\\n' | grep -w icanon; echo st''atus $?") // the mode is as before
	shows("the modes of the terminal", func(now string) bool { return strings.Contains(now, "status 0") })
	require.NotContains(t, term.tmux("capture-pane", "-p"), "-icanon")

	term.types(fmt.Sprintf("%s top -every 0.2 %d; echo st''atus $?", plain(t, "../cmd/oneshot"), c.Process.Pid))
	shows("the screen again", func(now string) bool { return strings.HasPrefix(now, "server, pid ") })
	require.NoError(t, c.Process.Kill())
	shows("the end of the process", func(now string) bool {
		return strings.Contains(now, "has ended\nstatus 1") && strings.Contains(now, "earlier")
	})
}
