package testwait

import (
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReceiveReturnsTheValueOrZeroWhenClosed(t *testing.T) {
	c := make(chan int, 1)
	c <- 7
	require.Equal(t, 7, Receive(t, c, "a number"))
	close(c)
	require.Zero(t, Receive(t, c, "the end"))
	var group sync.WaitGroup
	group.Go(func() {})
	Group(t, &group, "a goroutine")
}

func TestTheWaitEndsThoughAChildHoldsTheOutput(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs sh")
	}
	cmd := Command(t, "sh", "-c", "sleep 100 & echo $!")
	began := time.Now()
	out, err := cmd.Output()
	require.ErrorIs(t, err, exec.ErrWaitDelay)
	require.Less(t, time.Since(began), Patience)
	require.NoError(t, Command(t, "kill", string(out[:len(out)-1])).Run())
}

func TestAPipeHasADeadline(t *testing.T) {
	cmd := Command(t, "sh", "-c", "echo ready")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	if cmd.Err != nil {
		t.Skip("needs sh")
	}
	require.NoError(t, cmd.Start())
	Deadline(t, out)
	text, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "ready\n", string(text))
	require.NoError(t, cmd.Wait())
}
