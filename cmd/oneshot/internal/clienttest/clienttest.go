//go:build linux

// Package clienttest starts programs and waits for them in the tests of the
// client. Every wait has a deadline and reports what it waited for. The package
// does not know what the programs do.
package clienttest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// Poll calls look until it returns true. look runs on the test's own goroutine, so
// it may fail the test. After testwait.Patience the test fails and reports what
// look saw last.
func Poll(t *testing.T, what string, look func() (saw string, ok bool)) {
	t.Helper()
	for deadline := time.Now().Add(testwait.Patience); ; time.Sleep(5 * time.Millisecond) {
		saw, ok := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			require.FailNowf(t, "timeout after "+testwait.Patience.String(), "waited for: %s\nlast seen: %s", what, saw)
		}
	}
}

// PollForFile waits until a file exists at path.
func PollForFile(t *testing.T, path string) {
	t.Helper()
	Poll(t, "a file "+path, func() (string, bool) {
		_, err := os.Lstat(path)
		return fmt.Sprint(err), err == nil
	})
}

// ReadReady waits until a program prints that it is ready. Later reads from out
// have the same deadline.
func ReadReady(t *testing.T, out io.Reader) {
	t.Helper()
	testwait.Deadline(t, out)
	text := make([]byte, len("ready\n"))
	n, err := io.ReadFull(out, text)
	require.NoErrorf(t, err, "waited for: ready; the program printed %q", text[:n])
	require.Equal(t, "ready\n", string(text))
}

// Start starts a command that ends when the test ends, and returns its pid.
func Start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	in, err := cmd.StdinPipe() // programs exit at the end of their input, even if the test is killed
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { End(cmd, in) })
	return cmd.Process.Pid
}

// StartReady is like Start, and waits until the program prints that it is ready.
func StartReady(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	pid := Start(t, cmd)
	ReadReady(t, out)
	return pid
}

// End closes the standard input of a command, which ends most programs, and kills
// the command if it is still alive two seconds later. Do not use it with
// testwait.Command: that kills the command before the cleanup functions of the
// test run, and the program has no time to remove its socket.
func End(cmd *exec.Cmd, in io.Closer) {
	_ = in.Close()
	kill := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
}
