//go:build linux && (amd64 || arm64)

package image_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/image/core"
	"github.com/gomanhole/oneshot/internal/image/core/coretest"
	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func nothing(string) bool { return false }

// openCore opens a core and its executable.
func openCore(t testing.TB, path, executable string) (*core.Core, *image.Program) {
	t.Helper()
	c, err := core.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	e, err := c.Attach(executable)
	require.NoError(t, err)
	f, err := os.Open(executable)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	var threads []image.Registers
	for _, thread := range c.Threads {
		r := thread.Registers
		threads = append(threads, image.Registers{TID: thread.TID, PC: r.PC, SP: r.SP, BP: r.BP, LR: r.LR})
	}
	p, err := image.Open(c, e, f, c.Bias(e), threads)
	require.NoError(t, err)
	return c, p
}

// each returns the goroutines of a snapshot by their ids.
func each(s *stack.Snapshot) map[uint64]stack.Group {
	all := map[uint64]stack.Group{}
	for _, g := range s.Groups {
		for _, m := range g.Members {
			one := g
			m.Turns = 0 // which a listing does not have
			one.Members, one.Count = []stack.Goroutine{m}, 1
			all[m.ID] = one
		}
	}
	return all
}

func isSpinning(g stack.Group) bool {
	return len(g.Frames) > 0 && strings.HasSuffix(g.Frames[0].Function, ".spin")
}

// snapshotOfACore returns what the core of a process that runs this test binary has.
func snapshotOfACore(t *testing.T, pid int) *stack.Snapshot {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "core")
	coretest.Write(t, pid, path)
	_, p := openCore(t, path, self)
	snapshot, err := p.Snapshot(nothing)
	require.NoError(t, err)
	require.Zero(t, snapshot.Unread, snapshot.Unknown)
	return snapshot
}

// requireTurns requires that of each goroutine it is known how often it has stopped
// running, and how it has stopped last.
func requireTurns(t *testing.T, s *stack.Snapshot) {
	t.Helper()
	for _, g := range s.Groups {
		for _, m := range g.Members {
			require.NotZero(t, m.Turns, "goroutine %d", m.ID)
			switch {
			case isSpinning(g):
				require.Equal(t, layout.Preempted, m.Stop(), "goroutine %d", m.ID)
			case g.State == "semacquire": // it could be a wait for a collection
				require.Equal(t, layout.Called, m.Stop(), "goroutine %d", m.ID)
			case g.State != "running" && g.State != "runnable" && g.State != "syscall":
				require.Equal(t, layout.Waited, m.Stop(), "goroutine %d in %s", m.ID, g.State)
			}
		}
	}
}

// TestGoroutinesMatchTheRuntime compares a core with what runtime.Stack said
// about the same process.
func TestGoroutinesMatchTheRuntime(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	listing := filepath.Join(dir, "listing")
	cmd := testwait.Command(t, self)
	cmd.Env = append(os.Environ(), listingEnv+"="+listing)
	child := testwait.Start(t, cmd, "ready")
	snapshot := snapshotOfACore(t, child.Process.Pid)
	for range 9 { // now and then, the thread of the running goroutine is in the handler of a signal
		if testwait.RaceDetector || slices.ContainsFunc(snapshot.Groups, isSpinning) {
			break
		}
		snapshot = snapshotOfACore(t, child.Process.Pid)
	}

	text, err := os.ReadFile(listing)
	require.NoError(t, err)
	want := each((&stack.Listing{Text: text}).Group(nothing))
	got := each(snapshot)
	require.Equal(t, len(want), len(got), "goroutines")
	states := map[string]int{}
	for id, w := range want {
		g, ok := got[id]
		require.True(t, ok, "goroutine %d %v", id, w)
		if id == 1 || w.State == "running" || slices.ContainsFunc(w.Frames, func(f stack.Frame) bool { return strings.HasSuffix(f.Function, ".spin") }) {
			continue // they have gone on since
		}
		states[w.State]++
		require.Equal(t, w.State, g.State, "goroutine %d", id)
		require.Equal(t, w.Frames, g.Frames, "goroutine %d", id)
		require.Equal(t, w.Creator, g.Creator, "goroutine %d", id)
		require.Equal(t, w.Members, g.Members, "goroutine %d", id)
	}
	for _, state := range []string{
		"chan receive", "chan send", "chan receive (nil chan)", "chan send (nil chan)", "select", "select (no cases)", "IO wait", "syscall",
		"sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.Cond.Wait", "sync.WaitGroup.Wait", "sleep",
	} {
		require.Positive(t, states[state], "%s in %v", state, states)
	}
	var labels []string
	spinning := 0
	for _, g := range got {
		for _, l := range g.Labels {
			labels = append(labels, l.Labels)
		}
		if isSpinning(g) {
			spinning++
			require.Equal(t, "running", g.State)
		}
	}
	requireTurns(t, snapshot)
	require.Equal(t, slices.Repeat([]string{`{"q\"uote":"a: b]", "tenant":"acme"}`}, 3), labels)
	if !testwait.RaceDetector { // whose C code the running goroutine may be in, without a stack of Go
		require.Equal(t, 1, spinning, "the running goroutine has the stack that the registers show")
	}
}
