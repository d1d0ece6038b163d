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

// SIGPIPE: of a client that goes, and of a standard output or error that nobody
// reads any more.

// TestAClientThatGoesAwayRaisesNoSIGPIPE while output is written to it.
func TestAClientThatGoesAwayRaisesNoSIGPIPE(t *testing.T) {
	for _, steps := range [][]string{{"install"}, {"notify PIPE", "install"}, {"close 2", "install"}} {
		t.Run(steps[0], func(t *testing.T) {
			t.Parallel()
			p := startTold(t, steps...)
			for range 50 {
				conn := p.visit(t)
				_, err := io.WriteString(conn, strings.Repeat("help\n", 100))
				require.NoError(t, err)
				_, err = conn.Read(make([]byte, 1))
				require.NoError(t, err)
				require.NoError(t, conn.Close())
			}
			require.Contains(t, p.session(t, "gc\nexit\n"), "collected in", "it lives")
			if steps[0] != "close 2" {
				require.Regexp(t, `reason="(the client has gone|broken pipe)"`, p.stderr.String())
			}
			require.NotContains(t, p.stderr.String(), "got broken pipe")
		})
	}
}

// startWithBrokenPipe starts a program that has, as descriptor 3, a pipe that
// nobody reads any more.
func startWithBrokenPipe(t *testing.T, steps ...string) toldProgram {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	cmd := toldBy(t, steps...)
	cmd.ExtraFiles = []*os.File{w}
	p := startToldBy(t, cmd)
	require.NoError(t, r.Close())
	return p
}

// TestABrokenStandardOutputEndsTheProgramAsEver, and it alone does.
func TestABrokenStandardOutputEndsTheProgramAsEver(t *testing.T) {
	without := startWithBrokenPipe(t)
	without.take(t, "dup 3 1")
	_, err := io.WriteString(without.steps, "write hello\n")
	require.NoError(t, err)
	want := without.wait(t)
	require.Equal(t, syscall.SIGPIPE, want.Signal())
	for _, ph := range phases {
		p := startWithBrokenPipe(t, "install")
		p.take(t, "dup 3 1")
		conn := p.enter(t, ph)
		p.goesOn(t, ph, conn)
		conn = p.enter(t, ph)
		_, err := io.WriteString(p.steps, "write hello\n")
		require.NoError(t, err)
		require.Equal(t, want, p.wait(t), ph)
		if conn == nil {
			_ = os.Remove(p.path) // as after os.Exit, it may be left
		}
	}
}

// TestALogThatNobodyReadsDoesNotEndTheProgram: os.File ends a program that writes
// to its standard output or error when nobody reads it any more. One that does
// not write must not be ended by the manhole's log.
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

			// Its own writing ends it as ever, but for what it writes at the moment at
			// which the log does.
			eventually(t, func() bool {
				_, _ = io.WriteString(p.steps, "write hello\n") // it may have ended
				select {
				case <-p.ended:
					return true
				default:
					return false
				}
			}, "it does not end: %s", p.stderr)
			status := p.wait(t)
			require.Equal(t, syscall.SIGPIPE, status.Signal(), "%#x", status)
		})
	}
}

// sameFile reports whether the last descriptor of a dup step is what descriptor
// fd is.
func (c *child) sameFile(t *testing.T, fd int, step string) bool {
	t.Helper()
	link := func(fd string) string {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", c.Process.Pid, fd))
		require.NoError(t, err)
		return to
	}
	return link(strconv.Itoa(fd)) == link(step[strings.LastIndexByte(step, ' ')+1:])
}
