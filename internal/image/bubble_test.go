//go:build linux && (amd64 || arm64)

package image_test

import (
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/image/live"
)

// headers returns the first lines of the goroutines in bubbles, by id.
func headers(text string) map[string]string {
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^goroutine (\d+) (\[.*, synctest bubble \d+.*):$`).FindAllStringSubmatch(text, -1) {
		found[m[1]] = m[2]
	}
	return found
}

// Goroutines in a bubble of testing/synctest have the runtime's marks.
func TestGoroutinesInABubble(t *testing.T) {
	process, err := live.Open(os.Getpid())
	require.NoError(t, err)
	defer process.Close()
	executable, file := process.Executable()
	program, err := image.Open(process, executable, file, process.Bias(), nil)
	require.NoError(t, err)

	// Nothing fails inside the bubble: the test would wait for its goroutines.
	var want, seen map[string]string
	var states []string
	synctest.Test(t, func(*testing.T) {
		c := make(chan int)
		var group sync.WaitGroup
		var mutex sync.Mutex
		cond := sync.NewCond(new(sync.Mutex))
		group.Add(1)
		mutex.Lock()
		for _, f := range []func(){
			func() { <-c }, func() { time.Sleep(time.Hour) }, group.Wait,
			func() { cond.L.Lock(); cond.Wait(); cond.L.Unlock() },
			func() {
				select {
				case <-(chan int)(nil):
				case <-c:
				}
			},
		} {
			go f()
		}
		synctest.Wait()
		go mutex.Lock() // its wait is not durable
		for tries := 0; tries < 10_000 && !strings.Contains(all(), "[sync.Mutex.Lock, synctest bubble "); tries++ {
			runtime.Gosched()
		}
		want = headers(all())
		var text strings.Builder
		err = program.Each(func(_ uint64, one []byte) bool {
			text.Write(one)
			return true
		}, nil)
		seen = headers(text.String())
		if snapshot, lookErr := program.Snapshot(func(string) bool { return false }); lookErr == nil {
			for _, g := range snapshot.Groups {
				states = append(states, g.State)
			}
		}
		close(c)
		group.Done()
		mutex.Unlock()
		cond.Broadcast()
		time.Sleep(2 * time.Hour) // on the bubble's clock, so that the sleeper ends
	})
	require.NoError(t, err)
	require.Len(t, want, 9, "the six, this one, and two of synctest.Test: %v", want)
	for id, header := range want {
		if !strings.HasPrefix(header, "[running") { // from outside it has been seen at another moment
			require.Equal(t, header, seen[id])
		}
	}
	require.Len(t, seen, len(want))
	require.Subset(t, states, []string{"sleep", "select", "sync.Mutex.Lock"}, "as inside, groups are without marks")
}

// all returns what the runtime says about all goroutines.
func all() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
