//go:build unix

package testwait

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// OutputTime is how long the output of a program is read after its end, if another
// process has it open.
const OutputTime = Patience / 3

// Child is a program that runs beside a test until the test ends it.
type Child struct {
	*exec.Cmd
	Errors *Buffer       // its standard error, unless Cmd.Stderr was set
	Ended  chan struct{} // closed when the program has ended
}

// Start starts a command and waits until it prints a line that contains ready. Start
// reads the rest of the standard output and drops it. The program is killed when
// the test ends.
func Start(t testing.TB, cmd *exec.Cmd, ready string) *Child {
	t.Helper()
	c := &Child{Cmd: cmd, Errors: &Buffer{}, Ended: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = c.Errors
	}
	cmd.WaitDelay = OutputTime
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	Deadline(t, out)
	lines := bufio.NewReader(out)
	var seen strings.Builder
	for !strings.Contains(seen.String(), ready) {
		line, err := lines.ReadString('\n')
		seen.WriteString(line)
		if err != nil {
			go c.reap()
			require.FailNowf(t, "not ready", "%s has not printed %q but %q: %v\n%s", cmd, ready, &seen, err, c.Stop())
		}
	}
	require.NoError(t, out.(*os.File).SetReadDeadline(time.Time{}))
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends when Wait closes the pipe
	go c.reap()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		Receive(t, c.Ended, "the end of %s, which was killed", cmd)
	})
	return c
}

// reap waits for the end of the program. If other processes have its standard error
// open, it waits for them no longer than OutputTime.
func (c *Child) reap() {
	_ = c.Cmd.Wait() // ProcessState holds the result
	close(c.Ended)
}

// AwaitEnd waits for the program to end by itself and returns its status. If it does
// not end within Patience, the test fails.
func (c *Child) AwaitEnd(t testing.TB) syscall.WaitStatus {
	t.Helper()
	select {
	case <-c.Ended:
	case <-time.After(Patience):
		require.FailNow(t, "the program does not end", "%s\n%s", c, c.Stop())
	}
	return c.ProcessState.Sys().(syscall.WaitStatus)
}

// Stop ends a program that hangs, if it has not ended, and returns the beginning of
// its standard error. A Go program writes there what its goroutines wait for.
func (c *Child) Stop() string {
	_ = c.Process.Signal(syscall.SIGCONT)
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		_ = c.Process.Signal(sig) // it may have ended
		select {
		case <-c.Ended:
		case <-time.After(2 * OutputTime):
			continue
		}
		break
	}
	text := c.Errors.String()
	return text[:min(len(text), 32<<10)]
}

// RemoveDead removes a socket on which nobody listens. A program that is killed leaves its
// socket, and the tests start so many programs that pids come round: the next program
// with that pid would find the socket at the path that it uses itself.
func RemoveDead(path string) {
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // another test may have removed it
	}
}
