package timers

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// pending waits until there are n timers. What waits for one has to come to rest first.
func pending(t *testing.T, n int) {
	t.Helper()
	var got int
	testwait.Eventually(t, func() bool {
		var err error
		got, err = Pending()
		require.NoError(t, err)
		return got == n
	}, "there are not %d timers but %s", n, lazily(func() int { return got }))
}

// lazily formats a number when a test has failed.
type lazily func() int

func (f lazily) String() string { return strconv.Itoa(f()) }

func TestTimersAreCounted(t *testing.T) {
	// The testing package has a timer of its own, for -timeout.
	before, err := Pending()
	require.NoError(t, err)
	stop := make(chan struct{})
	var waiting sync.WaitGroup
	park := func(c <-chan time.Time) {
		waiting.Go(func() {
			select {
			case <-c:
			case <-stop:
			}
		})
	}
	const long = time.Hour
	ticker := time.NewTicker(long)
	park(ticker.C)
	pending(t, before+1)
	park(time.After(long))
	pending(t, before+2)
	call := time.AfterFunc(long, func() {})
	pending(t, before+3)
	ctx, cancel := context.WithTimeout(context.Background(), long)
	pending(t, before+4)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	require.NoError(t, listener.(*net.TCPListener).SetDeadline(time.Now().Add(long)))
	pending(t, before+5)
	unused := time.NewTimer(long) // wakes nobody
	pending(t, before+5)
	mine := New(long)
	park(mine.C)
	pending(t, before+5)

	call.Stop()
	pending(t, before+4)
	cancel()
	<-ctx.Done()
	pending(t, before+3)
	require.NoError(t, listener.Close())
	pending(t, before+2)
	unused.Stop()
	mine.Stop()
	close(stop)
	waiting.Wait()
	pending(t, before)
}

// TestASleepIsATimer although nothing else shows it.
func TestASleepIsATimer(t *testing.T) {
	before, err := Pending()
	require.NoError(t, err)
	var sleeper sync.WaitGroup
	sleeper.Go(func() { time.Sleep(2 * time.Second) })
	pending(t, before+1)
	sleeper.Wait()
	pending(t, before)
}

func BenchmarkPending(b *testing.B) {
	for b.Loop() {
		if _, err := Pending(); err != nil {
			b.Fatal(err)
		}
	}
}
