//go:build unix

package testwait

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStartWaitsUntilAChildIsReady(t *testing.T) {
	cmd := exec.Command("sh", "-c", "echo starting; echo it is ready; echo more; echo warning >&2; read line; exit $line")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	c := Start(t, cmd, "ready")
	Eventually(t, func() bool { return c.Errors.String() == "warning\n" }, "standard error has %q", c.Errors)
	_, err = in.Write([]byte("7\n"))
	require.NoError(t, err)
	require.Equal(t, 7, c.AwaitEnd(t).ExitStatus())
}

func TestStopReturnsTheStandardErrorOfAChild(t *testing.T) {
	c := Start(t, exec.Command("sh", "-c", "echo warning >&2; echo ready; kill -STOP $$; exec sleep 1000"), "ready")
	require.Equal(t, "warning\n", strings.TrimSuffix(c.Stop(), "Quit\n"))
	require.Equal(t, syscall.SIGQUIT, c.AwaitEnd(t).Signal())
}

func TestAChildIsKilledWithItsTest(t *testing.T) {
	var c *Child
	t.Run("test", func(t *testing.T) {
		c = Start(t, exec.Command("sh", "-c", "echo ready; exec sleep 1000"), "ready")
	})
	require.Equal(t, syscall.SIGKILL, c.AwaitEnd(t).Signal())
}

func TestAChildThatIsNotReady(t *testing.T) {
	f := &failing{TB: t}
	began := time.Now()
	done := make(chan struct{})
	go func() { // FailNow ends the goroutine
		defer close(done)
		Start(f, exec.Command("sh", "-c", "echo starting; echo warning >&2"), "ready")
	}()
	Receive(t, done, "the failure")
	require.Contains(t, f.text, `has not printed "ready" but "starting\n": EOF`)
	require.Contains(t, f.text, "warning")
	require.Less(t, time.Since(began), Patience)
}

// failing keeps the text of a failure.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) }
func (f *failing) FailNow()                          { runtime.Goexit() }
func (f *failing) Cleanup(func())                    {}
