//go:build linux

package integration

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// SIGPIPE, because of a client that has gone, and because nobody reads the standard output
// or error any more.

// TestAClientThatGoesAwayRaisesNoSIGPIPE is about a client that leaves while the manhole
// writes to it.
func TestAClientThatGoesAwayRaisesNoSIGPIPE(t *testing.T) {
	for _, steps := range [][]string{{"install"}, {"notify PIPE", "install"}, {"close 2", "install"}} {
		t.Run(steps[0], func(t *testing.T) {
			t.Parallel()
			p := startSteps(t, steps...)
			for range 50 {
				conn := p.visit(t)
				_, err := io.WriteString(conn, strings.Repeat("help\n", 100))
				require.NoError(t, err)
				_, err = conn.Read(make([]byte, 1)) // it is being written to
				require.NoError(t, err)
				require.NoError(t, conn.Close())
			}
			require.Contains(t, p.session(t, "gc\nexit\n"), "collected in", "it is alive")
			if steps[0] != "close 2" {
				require.Regexp(t, `reason="(the client has gone|broken pipe)"`, p.stderr.String())
			}
			require.NotContains(t, p.stderr.String(), "got broken pipe")
		})
	}
}

// startWithBrokenPipe starts a program whose descriptor 3 is a pipe that nobody reads any
// more.
func startWithBrokenPipe(t *testing.T, steps ...string) stepProgram {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	cmd := stepCommand(t, steps...)
	cmd.ExtraFiles = []*os.File{w}
	p := startStepCommand(t, cmd)
	require.NoError(t, r.Close())
	return p
}

// TestABrokenStandardOutputStillEndsTheProgram requires that a write of the program to its
// broken standard output ends it, as without a manhole. Nothing else does.
func TestABrokenStandardOutputStillEndsTheProgram(t *testing.T) {
	without := startWithBrokenPipe(t)
	without.take(t, "dup 3 1")
	_, err := io.WriteString(without.steps, "write hello\n")
	require.NoError(t, err)
	want := without.AwaitEnd(t)
	require.Equal(t, syscall.SIGPIPE, want.Signal())
	for _, ph := range phases {
		p := startWithBrokenPipe(t, "install")
		p.take(t, "dup 3 1")
		conn := p.enter(t, ph)
		p.goesOn(t, ph, conn)
		conn = p.enter(t, ph)
		_, err := io.WriteString(p.steps, "write hello\n")
		require.NoError(t, err)
		require.Equal(t, want, p.AwaitEnd(t), ph)
		if conn == nil {
			_ = os.Remove(p.path) // the socket may be left, as after os.Exit
		}
	}
}

// TestALogThatNobodyReadsDoesNotEndTheProgram is about a program that writes nothing itself.
// os.File ends a program that writes to a standard output or error that nobody reads any
// more. The manhole's log must not do that to the program.
func TestALogThatNobodyReadsDoesNotEndTheProgram(t *testing.T) {
	for _, test := range []struct {
		name   string
		breaks string
		steps  []string
	}{
		{"standard error", "dup 3 2", []string{"install"}},
		{"standard error, with a logger of the program's", "dup 3 2", []string{"log stderr", "install"}},
		{"standard output, with a logger of the program's", "dup 3 1", []string{"log stdout", "install"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startWithBrokenPipe(t, test.steps...)
			_, err := io.WriteString(p.steps, "quietly "+test.breaks+"\n")
			require.NoError(t, err)
			eventually(t, func() bool { return p.sameFile(t, 3, test.breaks) }, "%s is not done: %s", test.breaks, p.stderr)
			for range 20 {
				require.Contains(t, p.session(t, "gc\nexit\n"), "collected in")
			}
			p.open(t)
			require.Contains(t, p.answers(t, p.path), "collected in")

			// The program's own writes end it, as without a manhole. Only a write at the same
			// moment as one of the log may not.
			eventually(t, func() bool {
				_, _ = io.WriteString(p.steps, "write hello\n") // the program may have ended
				select {
				case <-p.Ended:
					return true
				default:
					return false
				}
			}, "it does not end: %s", p.stderr)
			status := p.AwaitEnd(t)
			require.Equal(t, syscall.SIGPIPE, status.Signal(), "%#x", status)
		})
	}
}

// sameFile reports whether fd and the last descriptor of a dup step are the same file.
func (c *child) sameFile(t *testing.T, fd int, step string) bool {
	t.Helper()
	link := func(fd string) string {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", c.Process.Pid, fd))
		require.NoError(t, err)
		return to
	}
	return link(strconv.Itoa(fd)) == link(step[strings.LastIndexByte(step, ' ')+1:])
}
