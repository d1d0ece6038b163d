//go:build unix

package main

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

// poll calls look until it reports true. Unlike the condition of
// testwait.Eventually, look runs in the test's own goroutine, so it may fail the
// test. After testwait.Patience the test fails, and says what look saw last.
func poll(t *testing.T, what string, look func() (saw string, ok bool)) {
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

// pollForFile waits until there is a file at path.
func pollForFile(t *testing.T, path string) {
	t.Helper()
	poll(t, "a file "+path, func() (string, bool) {
		_, err := os.Lstat(path)
		return fmt.Sprint(err), err == nil
	})
}

// readReady waits until a program prints that it is ready. Later reads from out
// have the same deadline.
func readReady(t *testing.T, out io.Reader) {
	t.Helper()
	testwait.Deadline(t, out)
	text := make([]byte, len("ready\n"))
	n, err := io.ReadFull(out, text)
	require.NoErrorf(t, err, "waited for: ready; the program printed %q", text[:n])
	require.Equal(t, "ready\n", string(text))
}

// end ends a command that ends with its standard input, as a rule. The command is
// not one of testwait.Command, which is killed before the cleanups of the test run:
// the program must have the time to remove its socket.
func end(cmd *exec.Cmd, in io.Closer) {
	_ = in.Close()
	kill := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
}
