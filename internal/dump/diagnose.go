package dump

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// The times of the looks at the program.
const (
	// lookAgain is the pause before the program is looked at again. That happens
	// when there are findings. A finding that is gone by then is not shown.
	lookAgain = 60 * time.Millisecond

	// longLook is the longest stop of the program after which there is another
	// look. (When other processes compete for the CPUs, a stop takes until they
	// give them up.)
	longLook = 50 * time.Millisecond

	// rulesTime is how long the rules may search after each look.
	rulesTime = 300 * time.Millisecond
)

// looksFor returns how many times to look at a program. A look at a million
// goroutines takes a second, and a large number of different stacks takes memory.
func looksFor(s *stack.Snapshot) int {
	switch {
	case s.Total > 200_000 || len(s.Groups) > ManyGroups:
		return 1
	case s.Total > 20_000:
		return 2
	}
	return 3
}

// ManyGroups is a number of groups. A snapshot with more groups is not kept for
// comparison.
const ManyGroups = 20_000

// lookAround takes the snapshot that a dump shows, and returns the findings. The
// findings about the present cover the time since before.
func lookAround(ctx context.Context, before vitals.Sample) (*stack.Snapshot, []findings.Finding, error) {
	stops := vitals.ReadStops()
	first, err := look(true)
	if err != nil {
		return nil, nil, err
	}
	e := &findings.Evidence{
		Looks:    []*stack.Snapshot{judged(first)},
		Before:   before,
		After:    vitals.Read(),
		Code:     programCode(),
		Heap:     sync.OnceValue(heapSites),
		Kinds:    vitals.ReadKinds,
		FullPipe: fullPipe,
	}
	e.Descriptors, _ = vitals.ReadDescriptors() // zero if it is not available
	looks := looksFor(first)
	if vitals.ReadStops().Longest(stops) > longLook {
		looks = 1
	}
	for {
		e.Final = len(e.Looks) == looks
		e.Deadline = time.Now().Add(rulesTime)
		found := findings.Find(e)
		if e.Cut() {
			found = append(found, findings.Finding{Title: "there is more here than could be searched in time; this list may lack something"})
		}
		if len(found) == 0 || e.Final || e.Cut() {
			return first, found, nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		next, err := look(first.HasMembers)
		if err != nil {
			return nil, nil, err
		}
		if next.HasMembers != first.HasMembers { // the program has grown large meanwhile, so the two cannot be compared
			looks = len(e.Looks)
			continue
		}
		e.Looks = append(e.Looks, judged(next))
		e.After = vitals.Read()
	}
}

// look takes a snapshot. If trace is true and the program is small, it uses a trace,
// and adds the labels from a profile. Otherwise it uses a profile.
func look(trace bool) (*stack.Snapshot, error) {
	if !trace || !quicklyTraced() {
		return stack.Profile(ours.Is)
	}
	t, err := stack.TakeListing(smallRoom)
	if err != nil || t.Cut {
		if t != nil {
			t.Release()
		}
		return stack.Profile(ours.Is)
	}
	defer t.Release()
	s := t.Group(ours.Is)
	if s.Unread > 0 {
		// The profile has all goroutines, but no ids.
		p, err := stack.Profile(ours.Is)
		if err == nil {
			p.Unread, p.Unknown = s.Unread, s.Unknown
		}
		return p, err
	}
	if p, err := stack.Labeled(ours.Is); err == nil {
		s.AddLabels(p)
	}
	return s, nil
}

// quicklyTraced reports whether a trace stops the program for only a millisecond or
// two. That needs few goroutines, and no stacks with thousands of frames: a trace
// shows a hundred frames of each stack, but walks all of them.
func quicklyTraced() bool {
	const deep = 16 << 20 // bytes of stacks
	return runtime.NumGoroutine() <= smallProgram && vitals.StackBytes() <= deep
}

// judged returns the snapshot without the goroutines that are inside the package,
// such as the one that called Dump.
func judged(s *stack.Snapshot) *stack.Snapshot {
	judged := *s
	judged.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g stack.Group) bool {
		return len(g.Frames) > 0 && (g.State == "runnable" || g.State == "running") &&
			slices.ContainsFunc(g.Frames, func(f stack.Frame) bool { return isManhole(f.Package()) })
	})
	return &judged
}

// isManhole reports whether a package belongs to the manhole.
func isManhole(pkg string) bool {
	return pkg == "github.com/gomanhole/oneshot" || strings.HasPrefix(pkg, "github.com/gomanhole/oneshot/internal/")
}

// programCode returns the information that distinguishes the program's packages from
// others. It comes from the build information in the binary.
func programCode() findings.Code {
	c := findings.Code{Not: isManhole}
	if info, ok := debug.ReadBuildInfo(); ok {
		c.Main = info.Main.Path
		c.Deps = make(map[string]bool, len(info.Deps))
		for _, dep := range info.Deps {
			c.Deps[dep.Path] = true
		}
	}
	return c
}

// heapSites reads the heap profile. The profile is always on unless the program has
// set runtime.MemProfileRate to 0. It shows the state of the last collections.
// Reading it does not stop the program.
func heapSites() []findings.HeapSite {
	var records []runtime.MemProfileRecord
	for n, ok := runtime.MemProfile(nil, false); !ok; {
		records = make([]runtime.MemProfileRecord, n+50)
		n, ok = runtime.MemProfile(records, false)
		records = records[:min(n, len(records))]
	}
	// A few hundred records have most of the memory. Looking up the names of the
	// rest is not worth the time.
	sort.Sort(byInUse(records))
	var sites []findings.HeapSite
	for _, r := range records[:min(len(records), 300)] {
		if r.InUseBytes() <= 0 {
			break
		}
		site := findings.HeapSite{Frames: stack.Symbolize(r.Stack())}
		site.Bytes, site.Objects = unsampled(r.InUseBytes(), r.InUseObjects(), int64(runtime.MemProfileRate))
		sites = append(sites, site)
	}
	return sites
}

type byInUse []runtime.MemProfileRecord

func (s byInUse) Len() int           { return len(s) }
func (s byInUse) Less(i, j int) bool { return s[i].InUseBytes() > s[j].InUseBytes() }
func (s byInUse) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// unsampled estimates the bytes and objects that a record of the heap profile
// represents. An object of size s is in the profile with a probability of
// 1-exp(-s/rate), as in scaleHeapSample of runtime/pprof.
func unsampled(bytes, objects, rate int64) (int64, int64) {
	if objects == 0 || rate <= 1 {
		return bytes, objects
	}
	size := float64(bytes) / float64(objects)
	scale := 1 / (1 - math.Exp(-size/float64(rate)))
	return int64(float64(bytes) * scale), int64(float64(objects) * scale)
}
