// Package testwait has the functions with which tests wait, and start the programs
// that they wait for. Each wait has a deadline. When that has passed, the test fails and
// says what it waited for. The package knows nothing of manholes.
package testwait

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Patience is how long a test waits for something that must happen. It is long
// enough for a busy machine with one CPU, under the race detector.
const Patience = 30 * time.Second

// interval is the time between two polls.
const interval = time.Millisecond

// Receive returns the next value from c, or the zero value if c is closed. If
// neither comes within Patience, the test fails and says what was missing.
func Receive[T any](t testing.TB, c <-chan T, what string, args ...any) T {
	t.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	select {
	case value := <-c:
		return value
	case <-timeout.C:
		require.FailNowf(t, "timeout after "+Patience.String(), "waited for: "+what, args...)
		panic("unreachable")
	}
}

// Eventually polls until condition returns true. If it does not within
// Patience, the test fails and says what was missing. It calls condition on the
// test's own goroutine, so condition may fail the test too.
func Eventually(t testing.TB, condition func() bool, what string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !condition(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			require.FailNowf(t, "condition not met after "+Patience.String(), what, args...)
		}
	}
}

// Until polls until condition returns true, in a program that a test has
// started. After Patience it panics with what it waited for.
func Until(condition func() bool, what string) {
	for deadline := time.Now().Add(Patience); !condition(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			panic("timeout after " + Patience.String() + ", waited for: " + what)
		}
	}
}

// Group waits for a sync.WaitGroup, as Receive does for a channel.
func Group(t testing.TB, group *sync.WaitGroup, what string, args ...any) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	Receive(t, done, what, args...)
}

// Command is exec.Command for a program that ends by itself. It is killed when
// the test ends, or after four times Patience; then Wait, Run and Output return an
// error. They do not wait for a grandchild that keeps the output open. The go command
// gets ten times Patience, since it may have to build the standard library.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	limit := 4 * Patience
	if name == "go" {
		limit = 10 * Patience
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = Patience / 10
	return cmd
}

// Deadline gives the reading end of a pipe from exec.Cmd's StdoutPipe or
// StderrPipe a deadline of twice Patience, so that a program that prints nothing
// fails its test only.
func Deadline(t testing.TB, pipe io.Reader) {
	t.Helper()
	file, ok := pipe.(*os.File)
	require.Truef(t, ok, "a %T has no deadline", pipe)
	require.NoError(t, file.SetReadDeadline(time.Now().Add(2*Patience)))
}

// Buffer is a bytes.Buffer that may be read while it is written.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns everything that has been written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Gate returns a channel to wait for, and the function that closes it. The end of
// the test closes it too.
func Gate(t testing.TB) (c chan struct{}, open func()) {
	t.Helper()
	c = make(chan struct{})
	open = sync.OnceFunc(func() { close(c) })
	t.Cleanup(open)
	return c, open
}

// TempDir is t.TempDir with a name that is short enough for a socket address.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "oneshot")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
