//go:build linux

package integration

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const usr2 = syscall.SIGUSR2

// TestSessionsWithAStuckLog is about a program whose standard error is a full pipe that
// nobody reads.
func TestSessionsWithAStuckLog(t *testing.T) {
	var fds [2]int
	require.NoError(t, unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	defer unix.Close(fds[0])
	for {
		if _, err := unix.Write(fds[1], make([]byte, 1)); err != nil {
			require.ErrorIs(t, err, unix.EAGAIN)
			break
		}
	}
	require.NoError(t, unix.SetNonblock(fds[1], false)) // so that the child's writes block
	w := os.NewFile(uintptr(fds[1]), "stderr")
	defer w.Close()
	cmd := exec.Command(server)
	cmd.Stderr = w
	c := start(t, cmd, "nc -U")
	for range 20 {
		require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	}
}

// TestTerminationsAtRandomMoments sends SIGTERM to two kinds of programs that handle it,
// while clients come and go.
func TestTerminationsAtRandomMoments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range fewer(100) {
		var both []*child
		for _, name := range []string{"receiver", "wait"} {
			both = append(both, startTerminating(t, name, filepath.Join(dir, name)))
		}
		for _, c := range both {
			c.signal(t, syscall.SIGUSR2)
		}
		switch i % 4 {
		case 0, 1:
			// The moment is what the test varies.
			time.Sleep(time.Duration(rand.IntN(600)) * time.Microsecond)
		case 2:
			for _, c := range both {
				if conn, err := net.Dial("unix", c.path); err == nil {
					defer conn.Close()
				}
			}
		case 3:
			for _, c := range both {
				c.session(t, "help\n")
				c.signal(t, syscall.SIGUSR2)
			}
		}
		for _, c := range both {
			c.signal(t, syscall.SIGTERM)
		}
		for _, c := range both {
			status := c.AwaitEnd(t)
			require.Equal(t, 3, status.ExitStatus(), "%s: %#x\n%s", filepath.Base(c.path), status, c.stderr)
		}
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, strings.Join([]string{"round", strconv.Itoa(i)}, " "))
	}
}
