package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// parkMany starts goroutines that wait until the end of the test.
func parkMany(t *testing.T, n int, wait func(<-chan struct{})) {
	t.Helper()
	stop := make(chan struct{})
	var waiting, ended sync.WaitGroup
	for range n {
		waiting.Add(1)
		ended.Go(func() {
			waiting.Done()
			wait(stop)
		})
	}
	waiting.Wait()
	t.Cleanup(func() {
		close(stop)
		ended.Wait()
	})
	testwait.Eventually(t, func() bool {
		s, err := stack.Profile(ours.Is)
		require.NoError(t, err)
		running := 0
		for _, g := range s.Groups {
			if g.State == "runnable" {
				running += g.Count
			}
		}
		return running <= 1
	}, "they do not come to rest")
}

func waitHere(stop <-chan struct{}) { <-stop }

//go:noinline
func waitBelow(n int, stop <-chan struct{}) {
	if n == 0 {
		<-stop
		return
	}
	waitBelow(n-1, stop)
	runtime.KeepAlive(n)
}

// newDump returns a dump that is about to be taken.
func newDump(o Options) *Dump {
	return &Dump{Options: o, Ctx: context.Background(), Before: vitals.Read()}
}

// stopping returns the options of the dumps that stop a large program.
func stopping() []Options {
	if stack.CannotRead() != "" {
		return []Options{{Full: true}, {Form: Go}}
	}
	return []Options{{Form: Go}}
}

func TestALongStopNeedsForce(t *testing.T) {
	parkMany(t, smallProgram+100, waitHere)
	for _, o := range stopping() {
		d := newDump(o)
		d.Longest = 1
		var b bytes.Buffer
		err := d.Write(&b)
		require.ErrorIs(t, err, ErrLongStop)
		require.ErrorContains(t, err, "-force")
		require.Zero(t, b.Len())
		told := false
		d.Force, d.Announce = true, func(c stack.Cost) { told = c.Stop > 0 && c.Bytes > 0 }
		require.NoError(t, d.Write(&b))
		require.True(t, told, "the stop is announced")
		require.Contains(t, b.String(), "internal/dump.waitHere")
	}
}

// TestGoroutineOfALargeProgram: a listing would be too long a stop here, so an error
// says that the goroutine comes from one.
func TestGoroutineOfALargeProgram(t *testing.T) {
	parkMany(t, smallProgram+100, waitHere)
	d := newDump(Options{})
	d.Longest = 1
	if reason := stack.CannotRead(); reason != "" {
		_, err := d.Goroutine(1)
		require.ErrorIs(t, err, ErrLongStop, reason)
		return
	}
	require.NoError(t, d.Take())
	at := slices.IndexFunc(d.Taken.Groups, func(g stack.Group) bool { return g.Count > smallProgram })
	id := d.Taken.Groups[at].Members[5].ID
	text, err := d.Goroutine(id)
	require.NoError(t, err)
	require.Regexp(t, fmt.Sprintf(`(?s)^goroutine %d \[chan receive\]:\n\S+/dump.waitHere\(\.\.\.\)\n\t/.*_test.go:\d+\n.*\ncreated by sync\.\(\*WaitGroup\)\.Go in goroutine \d+\n`, id), text)
	text, err = d.Goroutine(1 << 60)
	require.NoError(t, err)
	require.Empty(t, text)
}

// A few goroutines can have very many frames.
func TestDeepStacksAreNotWalkedByDefault(t *testing.T) {
	// The runtime keeps such large stacks for later goroutines, and would change what
	// other tests see. So this runs in a process of its own.
	const own = "ONESHOT_TEST_DEEP_STACKS"
	if os.Getenv(own) == "" {
		cmd := testwait.Command(t, os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), own+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "PASS")
		return
	}
	parkMany(t, 40, func(stop <-chan struct{}) { waitBelow(20_000, stop) })
	var b bytes.Buffer
	require.NoError(t, newDump(Options{Groups: -1}).Write(&b))
	require.Contains(t, b.String(), "... and more frames, for which the profile has no room")
	for _, o := range stopping() {
		d := newDump(o)
		d.Longest = 1
		require.ErrorIs(t, d.Write(new(bytes.Buffer)), ErrLongStop)
		d.Force = true
		require.NoError(t, d.Write(new(bytes.Buffer)))
	}
}

// This holds for every form of a dump.
func TestADumpEndsWithItsContext(t *testing.T) {
	parkMany(t, smallProgram+100, waitHere)
	gone := errors.New("the client has gone")
	for name, o := range map[string]Options{"groups": {}, "full": {Full: true, Force: true}, "go": {Form: Go, Force: true}} {
		ctx, cancel := context.WithCancelCause(context.Background())
		d := newDump(o)
		d.Ctx = ctx
		w := writerFunc(func(p []byte) (int, error) { // after the first bytes
			cancel(gone)
			return len(p), nil
		})
		if o.Form == Go { // it is written in large pieces, so the first write may be the last
			d.Announce = func(stack.Cost) { cancel(gone) }
		}
		require.ErrorIs(t, d.Write(w), gone, name)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAWriterThatFailsEndsTheDump(t *testing.T) {
	full := errors.New("full")
	for _, o := range []Options{{}, {Full: true}, {Form: Go}, {Form: Pprof}} {
		left := 1
		w := writerFunc(func(p []byte) (int, error) {
			if left--; left < 0 {
				return 0, full
			}
			return len(p), nil
		})
		if o.Form != Groups {
			left = 0 // its text may be one write
		}
		require.ErrorIs(t, newDump(o).Write(w), full, "%+v", o)
	}
}

func TestTheGoFormIsTheTextOfTheRuntime(t *testing.T) {
	parkMany(t, 3, waitHere)
	var b bytes.Buffer
	require.NoError(t, newDump(Options{Form: Go}).Write(&b))
	require.Regexp(t, `(?m)^goroutine \d+ \[chan receive\]:\ngithub.com/gomanhole/oneshot/internal/dump.waitHere\(`, b.String())
	b.Reset()
	require.NoError(t, newDump(Options{Form: Pprof}).Write(&b))
	require.Equal(t, "\x1f\x8b", b.String()[:2], "the profile is compressed")
}

func TestAStateSelectsGroups(t *testing.T) {
	d := newDump(Options{State: "CHAN receive"})
	s := &stack.Snapshot{Total: 7, Groups: []stack.Group{{State: "chan receive", Count: 3}, {State: "select", Count: 4}}}
	selected := d.Selected(s)
	require.Len(t, selected.Groups, 1)
	require.Equal(t, 7, selected.Total, "it counts all")
	require.Len(t, s.Groups, 2, "the snapshot stays as it is")
	d.State = ""
	require.Len(t, d.Selected(s).Groups, 2, "no two of them look the same")
	d.Frames = true
	require.Same(t, s, d.Selected(s))
	d.State = "leaked"
	require.Empty(t, d.Selected(s).Groups)
	s.Groups[1].Members = []stack.Goroutine{{ID: 1, Leaked: true}}
	require.Len(t, d.Selected(s).Groups, 1)
}

func TestHowManyGroupsAreShown(t *testing.T) {
	for groups, want := range map[int]int{0: DefaultGroups, 3: 3, -1: 1<<31 - 1} {
		require.Equal(t, want, newDump(Options{Groups: groups}).Limit())
	}
}

// They are left out of groups and ids, and their number is shown.
func TestTheManholesGoroutinesAreLeftOut(t *testing.T) {
	stop, end := testwait.Gate(t)
	ended := make(chan struct{})
	ours.Go(func() {
		defer close(ended)
		waitHere(stop)
	})
	for _, o := range []Options{{Groups: -1}, {Groups: -1, Full: true}} {
		testwait.Eventually(t, func() bool {
			var b strings.Builder
			require.NoError(t, newDump(o).Write(&b))
			return strings.Contains(b.String(), ", 1 of the manhole left out:") && !strings.Contains(b.String(), "waitHere")
		}, "it is shown")
	}
	end()
	testwait.Receive(t, ended, "its end")
	require.NoError(t, newDump(Options{}).Write(io.Discard))
}
