//go:build linux

package integration

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// terminal is a tmux server that runs a shell.
type terminal struct {
	t      *testing.T
	socket string
}

// newTerminal starts a terminal that keeps everything it has shown.
func newTerminal(t *testing.T) *terminal {
	need(t, "tmux", "tmux")
	term := &terminal{t: t, socket: t.TempDir() + "/tmux"}
	t.Cleanup(term.kill)
	// history-limit applies to new windows, so a second session is needed. The first
	// one ends after the second has started: without a session the server ends and
	// forgets the limit.
	term.tmux("new-session", "-d", "-s", "first")
	term.tmux("set-option", "-g", "history-limit", "100000")
	term.tmux("new-session", "-d", "-x", "200", "-y", "50", "env PS1='$ ' sh")
	term.tmux("kill-session", "-t", "first")
	return term
}

// kill ends the server. The context of the test is done then.
func (term *terminal) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = exec.CommandContext(ctx, "tmux", "-S", term.socket, "kill-server").Run() // it may have ended
}

// tmux runs a tmux command and returns its output.
func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := testwait.Command(term.t, "tmux", append([]string{"-S", term.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
	require.NoError(term.t, err, "tmux %v: %s", args, out)
	return string(out)
}

// types types a line and Enter.
func (term *terminal) types(line string) {
	term.t.Helper()
	term.tmux("send-keys", "-l", line)
	term.tmux("send-keys", "Enter")
}

// text returns everything that the terminal has shown. It joins the parts of lines that
// were too long for the terminal.
func (term *terminal) text() string {
	term.t.Helper()
	return strings.TrimRight(term.tmux("capture-pane", "-p", "-J", "-S", "-"), " \n")
}

// answer waits for the next prompt and returns the lines of the answer before it. The
// terminal showed the text before when the command was typed.
func (term *terminal) answer(before string) []string {
	term.t.Helper()
	var now string
	eventually(term.t, func() bool {
		now = term.text()
		return len(now) > len(before) && strings.HasPrefix(now, before) && strings.HasSuffix(now, "\n>>>")
	}, "no prompt after %q; the terminal shows:\n%s", before, lazily(&now))
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(now, before), "\n>>>"), "\n")
	return lines[1:] // the first is the command
}

// lazily returns a Stringer for the value that the variable has when String is called.
func lazily[T any](v *T) fmt.Stringer { return lazy[T]{v} }

type lazy[T any] struct{ v *T }

func (l lazy[T]) String() string { return fmt.Sprint(*l.v) }
