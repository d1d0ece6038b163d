//go:build linux

package integration

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// stepProgram is ./program in the condition steps; see program/steps.go. It takes
// further steps from the test.
type stepProgram struct {
	*child
	steps io.Writer
}

// startSteps starts a program that takes the given steps before it is ready.
func startSteps(t *testing.T, steps ...string) stepProgram {
	t.Helper()
	return startStepCommand(t, stepCommand(t, steps...))
}

// stepCommand returns the command of startSteps.
func stepCommand(t *testing.T, steps ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(plain(t, "./program"), append([]string{"steps"}, steps...)...)
}

// startStepCommand starts a command that stepCommand has returned.
func startStepCommand(t *testing.T, cmd *exec.Cmd) stepProgram {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	c := start(t, cmd, "ready")
	for _, v := range cmd.Env {
		if path, ok := strings.CutPrefix(v, "MANHOLE_PATH="); ok {
			c.path = path
		}
	}
	return stepProgram{c, stdin}
}

// take makes the program take a step and waits until it has.
func (p stepProgram) take(t *testing.T, step string) {
	t.Helper()
	taken := "taken: " + step + "\n"
	before := strings.Count(p.stderr.String(), taken)
	_, err := io.WriteString(p.steps, step+"\n")
	require.NoError(t, err)
	eventually(t, func() bool { return strings.Count(p.stderr.String(), taken) > before }, "it does not %s; %s", step, p.stderr)
}

// reports waits until text is in the program's standard error at least times times.
func (c *child) reports(t *testing.T, text string, times int) {
	t.Helper()
	eventually(t, func() bool { return strings.Count(c.stderr.String(), text) >= times }, "it does not report %q; %s", text, c.stderr)
}

// storm sends USR2 the given number of times, as fast as kill(2) allows.
func (c *child) storm(times int) {
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range times / 4 {
				_ = syscall.Kill(c.Process.Pid, usr2) // the pid stays the child's until the end of the test
			}
		})
	}
	senders.Wait() // needs no deadline: kill does not block
}

// phase is what the manhole is doing when something happens.
type phase string

const (
	closed  phase = "window closed"
	open    phase = "window open"
	running phase = "session running"
)

var phases = []phase{closed, open, running}

// enter brings the manhole into a phase and returns the session, if the phase has one.
func (c *child) enter(t *testing.T, ph phase) net.Conn {
	t.Helper()
	switch ph {
	case open:
		c.open(t)
	case running:
		conn := c.visit(t)
		var seen []byte
		for buf := make([]byte, 4<<10); !strings.HasSuffix(string(seen), ">>> "); {
			n, err := conn.Read(buf)
			require.NoError(t, err)
			seen = append(seen, buf[:n]...)
		}
		return conn
	}
	return nil
}

// goesOn requires that the manhole is still in the phase and works.
func (c *child) goesOn(t *testing.T, ph phase, conn net.Conn) {
	t.Helper()
	switch ph {
	case closed:
		require.NoFileExists(t, c.path)
		require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	case open:
		require.Contains(t, c.answers(t, c.path), "collected in")
	case running:
		require.Contains(t, answerOf(t, conn), "collected in")
	}
}

// requireDead requires that the program ends with a wait status and leaves no socket.
func (c *child) requireDead(t *testing.T, want syscall.WaitStatus) {
	t.Helper()
	status := c.AwaitEnd(t)
	require.Equal(t, want, status, "%#x, not %#x; %s", status, want, c.stderr)
	require.NoFileExists(t, c.path)
}
