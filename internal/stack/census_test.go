//go:build unix

package stack

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// labelShapes contains labels that are hard to parse in a header.
var labelShapes = [][]string{
	{"tenant", "acme"},
	{"path", "/a/b.html", "method", "GET"},
	{"quote", `a"b`, "back", `a\b`},
	{"bracket]:", "]:", "brace", "{}", "comma", ", "},
	{"colon", "a: b", "labels", " labels:{"},
	{"newline", "a\nb\r\tc\n\n", "control", "\x00\x1b]0;x\x07\x7f"},
	{"non-ASCII", "é😀日本", "invalid", "\xff\xfe", "replacement", "\ufffd"},
	{"", "", "empty", ""},
}

// counted is the output of the program census.
type counted struct {
	Goroutines       int // runtime.NumGoroutine
	Listing, Profile *Snapshot
	Reading          *Snapshot // nil if the goroutines cannot be read
	Text             string    // the text of the listing
}

// census parks goroutines whose headers and stacks contain everything that can be
// in them. It counts the goroutines in every way and prints the numbers.
func census() {
	begun := make(chan struct{})
	start := func(f func()) {
		go func() {
			begun <- struct{}{}
			f()
		}()
		<-begun
	}
	wait := make(chan int)
	for _, shape := range labelShapes {
		pprof.Do(context.Background(), pprof.Labels(shape...), func(context.Context) { start(func() { <-wait }) })
	}
	start(func() { runtime.LockOSThread(); <-wait })
	start(func() { deep(300) })
	for range 3 {
		start(func() { leak() })
		start(func() { start(func() { start(func() { <-wait }) }); <-wait }) // ancestors
	}
	runtime.AddCleanup(new([1 << 10]int), func(wait chan int) { blockedCleanup(wait) }, wait)
	runtime.SetFinalizer(new([1 << 10]int), func(*[1 << 10]int) { blockedFinalizer(wait) })
	for range 3 {
		runtime.GC()
	}
	if leaks := pprof.Lookup("goroutineleak"); leaks != nil {
		for range 2 { // the first profile may be incomplete
			if err := leaks.WriteTo(io.Discard, 0); err != nil {
				panic(err)
			}
		}
	}
	if level := os.Getenv("CENSUS_TRACEBACK"); level != "" {
		debug.SetTraceback(level)
	}
	var c counted
	sums := ""
	testwait.Until(func() bool {
		c.Goroutines = runtime.NumGoroutine()
		t, err := TakeListing(64 << 20)
		if err != nil {
			panic(err)
		}
		defer t.Release()
		c.Listing, c.Text = t.Group(none), string(t.Text)
		if c.Profile, err = Profile(none); err != nil {
			panic(err)
		}
		if c.Reading, err = Read(none); err != nil && CannotRead() == "" {
			return false
		}
		last := sums // all goroutines have come to rest when two snapshots are equal
		sums = summary(c.Listing) + summary(c.Profile)
		return sums == last && runtime.NumGoroutine() == c.Goroutines && len(find(c.Listing, "stack.blocked")) == 2
	}, "two equal snapshots, with a running finalizer and a running cleanup")
	if err := json.NewEncoder(os.Stdout).Encode(c); err != nil {
		panic(err)
	}
}

// leak waits for a channel that no other goroutine knows.
//
//go:noinline
func leak() { make(chan int) <- 1 }

//go:noinline
func blockedCleanup(wait chan int) { <-wait; sink++ }

//go:noinline
func blockedFinalizer(wait chan int) { <-wait; sink++ }

func TestEveryGoroutineIsCounted(t *testing.T) {
	for _, env := range []string{
		"GODEBUG=",
		"GODEBUG=tracebacklabels=1",
		"GODEBUG=tracebackancestors=5",
		"GODEBUG=tracebacklabels=1,tracebackancestors=5",
		"CENSUS_TRACEBACK=system",
		"CENSUS_TRACEBACK=system GODEBUG=tracebacklabels=1,tracebackancestors=5",
	} {
		t.Run(env, func(t *testing.T) {
			cmd := testwait.Command(t, os.Args[0])
			cmd.Env = append(os.Environ(), append(strings.Fields(env), "STACK_PROGRAM=census")...)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			require.NoError(t, err)
			var c counted
			require.NoError(t, json.Unmarshal(out, &c))
			all := []*Snapshot{c.Listing, c.Profile}
			if CannotRead() == "" {
				all = append(all, c.Reading)
			}
			for _, s := range all {
				require.Zero(t, s.Unread, s.Unknown)
				require.False(t, s.Cut)
				// NumGoroutine never counts the runtime's two goroutines that run
				// finalizers and cleanups, not even while they are blocked.
				require.Len(t, find(s, "stack.blocked"), 2)
				require.Equal(t, c.Goroutines+2, s.Total, "%s\n%s", summary(s), c.Text)
			}
			leaked := find(c.Listing, "stack.leak ")
			require.Len(t, leaked, 1)
			require.Equal(t, "chan send", leaked[0].State)
			require.Equal(t, 3, leaked[0].Count)
			if pprof.Lookup("goroutineleak") != nil {
				require.Equal(t, 3, leaked[0].Leaked())
			}
			require.NotContains(t, text(leaked[0].Frames), "census(", "this frame belongs to an ancestor")

			// A group may have the labels of several goroutines.
			labels := allLabels(c.Profile)
			require.Len(t, labels, len(labelShapes))
			if c.Reading != nil {
				require.Equal(t, labels, allLabels(c.Reading))
				again := find(c.Reading, "stack.leak ")
				require.Len(t, again, 1)
				for i := range again[0].Members {
					again[0].Members[i].Turns = 0 // which a listing does not have
				}
				require.Equal(t, leaked[0].Members, again[0].Members)
			}
			if strings.Contains(env, "tracebacklabels=1") {
				require.Equal(t, labels, allLabels(c.Listing), "the labels of the listing and of the profile must have the same form")
			}
		})
	}
}

func allLabels(s *Snapshot) map[string]bool {
	// In a header of Go 1.26, an invalid byte looks like U+FFFD.
	replace := strings.NewReplacer(`\xff`, "\ufffd", `\xfe`, "\ufffd")
	labels := make(map[string]bool)
	for _, g := range s.Groups {
		for _, l := range g.Labels {
			labels[replace.Replace(l.Labels)] = true
		}
	}
	return labels
}

func TestGoroutinesInBubbleAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		defer close(stop)
		for range 3 {
			go func() { <-stop }()
		}
		synctest.Wait()
		l, err := TakeListing(1 << 20)
		require.NoError(t, err)
		defer l.Release()
		require.Contains(t, string(l.Text), "[chan receive (durable), synctest bubble ")
		s := l.Group(none)
		require.Zero(t, s.Unread, s.Unknown)
		require.Equal(t, strings.Count("\n"+string(l.Text), "\ngoroutine "), s.Total)
		waiting := find(s, "TestGoroutinesInBubbleAreCounted.func1.1")
		require.Len(t, waiting, 1)
		require.Equal(t, "chan receive", waiting[0].State)
	})
}

// TestReleaseIsKnown fails with a release of Go that has not been compared with
// records.go yet. Programs that are built with such a release read a profile as
// text, which takes more time and memory.
func TestReleaseIsKnown(t *testing.T) {
	if builtPortable {
		require.Contains(t, SlowProfile(), runtime.Version())
		require.Contains(t, CannotRead(), "oneshot_portable")
		return
	}
	require.True(t, recordsKnown, "%s is not known: compare runtime/mprof.go (pprof_goroutineProfileWithLabels), internal/profilerecord (StackRecord), "+
		"internal/runtime/pprof/label (Set, Label) and runtime/pprof/label.go (String) with those of the release before, "+
		"and runtime/traceback.go (goroutineheader, traceback1) with parse.go; then change the build constraints of records.go and records_other.go",
		runtime.Version())
	require.Empty(t, SlowProfile())
	if runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") {
		require.Empty(t, CannotRead(), "%s is not known: see internal/image/layout/generate and internal/image/inside/runtime.go; then change the build constraints of internal/image/inside",
			runtime.Version())
	}
}
