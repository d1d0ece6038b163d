package findings

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// TestOneFindingForTheSameGoroutines: what is proved is not suspected as well.
func TestOneFindingForTheSameGoroutines(t *testing.T) {
	s := listing(
		goroutine(7, "chan send (leaked)", "main.fetch.func1"), goroutine(8, "chan send", "main.fetch.func1"), goroutine(9, "chan receive", "main.wait"),
		goroutine(2, "sleep", "time.Sleep", "main.tick"),
	)
	unreached := map[uint64]uint64{8: 1, 9: 1}
	e := &Evidence{
		Looks: []*stack.Snapshot{s, s}, Unreached: []map[uint64]uint64{unreached, unreached},
		Final: true, After: vitals.Sample{Limit: vitals.NoLimit},
	}
	found := Find(e)
	require.Len(t, found, 2)
	require.Contains(t, found[0].Title, "proved: 1 goroutine can never continue")
	require.Equal(t, "1 of 2 in chan send at main.fetch.func1  /src/main.go:10", found[0].Lines[0])
	require.Contains(t, found[1].Title, "suspected: 1 goroutine can never continue")
	require.Contains(t, found[1].Lines[0], "main.wait")
}

// TestAProvedWaitForALockHasNoHolder: the one that only seems to hold it is not named.
func TestAProvedWaitForALockHasNoHolder(t *testing.T) {
	lock, holder := "sync.(*Mutex).Lock", goroutine(3, "IO wait", "net.(*conn).Read", "main.(*b).load", "main.(*a).fill")
	found := final(listing(goroutine(2, "sync.Mutex.Lock", lock, "main.(*a).get"), holder))
	require.Len(t, found, 1)
	require.Contains(t, found[0].Title, "1 goroutine waits for a lock in main.a")
	found = final(listing(goroutine(2, "sync.Mutex.Lock (leaked)", lock, "main.(*a).get"), holder))
	require.Len(t, found, 1)
	require.Contains(t, found[0].Title, "proved: 1 goroutine can never continue")
}

// TestNothingRunsIsOneFinding: the deadlock that has stopped the program is part of it.
func TestNothingRunsIsOneFinding(t *testing.T) {
	lock := "sync.(*Mutex).Lock"
	s := listing(
		goroutine(1, "sync.WaitGroup.Wait", "main.main"),
		goroutine(2, "sync.Mutex.Lock", lock, "main.(*a).get", "main.(*b).fill", "main.serve"),
		goroutine(3, "sync.Mutex.Lock", lock, "main.(*b).get", "main.(*a).fill", "main.serve"),
	)
	found := Find(&Evidence{
		Looks: []*stack.Snapshot{s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Wakers: func(bool) bool { return false },
	})
	require.Len(t, found, 1)
	require.Contains(t, found[0].Title, "nothing in this program can run again: all 3 goroutines")
	text := strings.Join(found[0].Lines, "\n")
	require.Contains(t, text, "no timer")
	require.Contains(t, text, "main.(*a).get")
	require.Contains(t, text, "called at main.(*b).fill")
}

// TestWhoHoldsALockStays: that nothing runs does not say whom the others wait for.
func TestWhoHoldsALockStays(t *testing.T) {
	lock := "sync.(*Mutex).Lock"
	texts := []string{goroutine(1, "sync.WaitGroup.Wait", "main.main"), goroutine(2, "chan receive", "main.(*a).read", "main.(*a).fill", "main.serve")}
	for id := range 4 {
		texts = append(texts, goroutine(3+id, "sync.Mutex.Lock", lock, "main.(*a).get", "main.serve"))
	}
	s := listing(texts...)
	found := Find(&Evidence{
		Looks: []*stack.Snapshot{s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Wakers: func(bool) bool { return false },
	})
	require.Len(t, found, 2)
	require.Contains(t, found[0].Title, "nothing in this program can run again: all 6 goroutines")
	require.Contains(t, found[1].Title, "4 goroutines queue for a lock in main.a")
	require.Contains(t, strings.Join(found[1].Lines, "\n"), "goroutine 2, now in chan receive")
}

// TestAWaitOnPurposeMayBeProved: what main or a goroutine that is still there has started
// waits for ever on purpose.
func TestAWaitOnPurposeMayBeProved(t *testing.T) {
	for _, state := range []string{"select (no cases)", "chan receive (nil chan)"} {
		main := strings.Split(goroutine(1, state+" (leaked)", "main.main"), "\ncreated by")[0]
		by := func(parent, state string) string {
			return strings.Replace(goroutine(7, state, "main.block"), "in goroutine 1", "in goroutine "+parent, 1)
		}
		tick := goroutine(8, "sleep", "time.Sleep", "main.tick")
		require.Empty(t, final(listing(by("1", state+" (leaked)"), main, tick)), "main is there")
		require.Empty(t, final(listing(by("8", state), tick)), "its creator is there")
		found := final(listing(by("5", state+" (leaked)"), tick))
		require.Len(t, found, 1, "its creator has ended")
		require.Contains(t, found[0].Title, "proved")
		found = final(listing(by("5", state), tick))
		require.Len(t, found, 1, "its creator has ended")
		require.Contains(t, found[0].Title, "suspected")
	}
}
