//go:build linux && (amd64 || arm64) && !oneshot_portable

package stack

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestTurns shows that a goroutine which has run between two looks is not where it was.
func TestTurns(t *testing.T) {
	if why := CannotRead(); why != "" {
		t.Skip(why)
	}
	wake := make(chan bool)
	defer close(wake)
	go receiveAll(wake)
	listed := func() *Snapshot {
		l, err := TakeListing(64 << 20)
		require.NoError(t, err)
		defer l.Release()
		s := l.Group(none)
		s.AddTurns()
		return s
	}
	receiver := func(s *Snapshot) (m Goroutine, ok bool) {
		for _, g := range find(s, "stack.receiveAll ") {
			if g.State == "chan receive" {
				return g.Members[0], true
			}
		}
		return m, false
	}
	await := func(take func() *Snapshot) (m Goroutine) {
		testwait.Until(func() bool {
			var ok bool
			m, ok = receiver(take())
			return ok
		}, "the goroutine waits")
		return m
	}
	first := await(listed)
	require.NotZero(t, first.Turns)
	require.Equal(t, first.Turns, await(mustRead).Turns)
	require.False(t, first.Ran(await(listed)))
	require.Equal(t, layout.Waited, first.Stop())
	require.Equal(t, layout.Waited, await(mustRead).Stop())
	wake <- true
	require.True(t, first.Ran(await(listed)))
	require.True(t, first.Ran(await(mustRead)))
}

// TestALeakedGoroutineGetsItsMinutes: a listing has those of all others.
func TestALeakedGoroutineGetsItsMinutes(t *testing.T) {
	s := &Snapshot{Groups: []Group{{Members: []Goroutine{{ID: 1}, {ID: 2, Leaked: true}, {ID: 3, Leaked: true, Minutes: 7}}}}}
	s.add(map[uint64]later{1: {1, 5}, 2: {1, 5}, 3: {1, 5}})
	require.Equal(t, []Goroutine{{ID: 1, Turns: 1}, {ID: 2, Leaked: true, Turns: 1, Minutes: 5}, {ID: 3, Leaked: true, Turns: 1, Minutes: 7}}, s.Groups[0].Members)
}

// TestALoopHasNotWaited: it stops only when the runtime takes the CPU from it, or when it
// lets others run.
func TestALoopHasNotWaited(t *testing.T) {
	for name, test := range map[string]struct {
		loop func(begin chan bool, end *atomic.Bool)
		stop layout.Stop
	}{"loopAfter": {loopAfter, layout.Preempted}, "yieldAfter": {yieldAfter, layout.Yielded}} {
		t.Run(name, func(t *testing.T) {
			if why := CannotRead(); why != "" {
				t.Skip(why)
			}
			begin, ended := make(chan bool), make(chan bool)
			var end atomic.Bool
			go func() {
				defer close(ended)
				test.loop(begin, &end)
			}()
			defer func() {
				end.Store(true)
				testwait.Receive(t, ended, "the end of the loop")
			}()
			stop := func() layout.Stop {
				for _, g := range find(mustRead(), "stack."+name+" ") {
					if m := g.Members[0]; m.Turns > 0 {
						return m.Stop()
					}
				}
				return layout.Called
			}
			testwait.Eventually(t, func() bool { return stop() == layout.Waited }, "it waits for its beginning")
			close(begin)
			testwait.Eventually(t, func() bool { return stop() == test.stop }, "it has stopped without waiting")
			for range 20 {
				require.NotEqual(t, layout.Waited, stop())
			}
		})
	}
}

func loopAfter(begin chan bool, end *atomic.Bool) {
	<-begin
	for !end.Load() {
	}
}

func yieldAfter(begin chan bool, end *atomic.Bool) {
	<-begin
	for !end.Load() {
		runtime.Gosched()
	}
}

func receiveAll(c chan bool) {
	for range c {
	}
}
