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
	_ "unsafe" // for go:linkname

	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/leakproof"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/timers"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// The times of the looks at the program.
const (
	// lookAgain is the pause before the program is looked at again. That happens
	// when there are findings. A finding that is gone by then is not shown.
	lookAgain = 60 * time.Millisecond

	// lookLater is the pause before another look where the CPUs are so busy that a
	// goroutine which did not move may only have had no CPU. maxLater is the number of
	// such looks.
	lookLater = 300 * time.Millisecond
	maxLater  = 3

	// longLook is the longest stop of the program after which there is more than one
	// other look. (When other processes compete for the CPUs, a stop takes until they
	// give them up.)
	longLook = 50 * time.Millisecond

	// rulesTime is how long the rules may search after each look.
	rulesTime = 300 * time.Millisecond
)

// LooksFor returns how many times to look at a program. A look at a million
// goroutines takes a second, and a large number of different stacks takes memory.
func LooksFor(s *stack.Snapshot) int {
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

// CutShort is the finding which says that the rules had not enough time.
var CutShort = findings.Finding{Title: "there is more here than could be searched in time; this list may lack something"}

// lookAround takes the snapshot that a dump shows, and returns the findings. The
// findings about the present cover the time since before.
func lookAround(ctx context.Context, before vitals.Sample, hears func() bool, mayProve bool) (*stack.Snapshot, []findings.Finding, error) {
	stops := vitals.ReadStops()
	first, err := look(true)
	if err == nil && mayProve && proveLeaks(first) {
		first, err = look(true) // with the marks
	}
	if err != nil {
		return nil, nil, err
	}
	e := &findings.Evidence{
		Looks:    []*stack.Snapshot{withoutOwn(first)},
		Before:   before,
		After:    vitals.Read(),
		Code:     programCode(),
		Heap:     sync.OnceValue(heapSites),
		Kinds:    vitals.ReadKinds,
		Conns:    conns.Own,
		Allocs:   allocSites,
		FullPipe: FullPipe,
		AtLeast:  waitedAtLeast(),
	}
	e.Descriptors, _ = vitals.ReadDescriptors() // zero if it is not available
	if hears != nil {
		e.Wakers = func(final bool) bool { return wakers(final, hears) }
	}
	looks := LooksFor(first)
	addUnreached(e, looks)
	if vitals.ReadStops().Longest(stops) > longLook {
		looks = min(looks, 2) // one would not show what lasts
	}
	pause, later := lookAgain, 0
	for {
		e.Final = len(e.Looks) == looks
		e.Deadline = time.Now().Add(rulesTime)
		found := findings.Find(e)
		if e.Cut() {
			found = append(found, CutShort)
		}
		if e.Final && later < maxLater && looks > 1 && e.TooEarly(found) {
			looks, later, pause = looks+1, later+1, lookLater
			e.Final = false
		}
		if len(found) == 0 || e.Final {
			return first, found, nil
		}
		if e.Cut() { // what was found so far are suspicions; one other look must do
			looks = len(e.Looks) + 1
		}
		if len(e.Looks) == 1 {
			first.AddTurns() // only now: most programs are healthy, and need no second look
		}
		select {
		case <-time.After(pause):
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
		next.AddTurns()
		e.Looks = append(e.Looks, withoutOwn(next))
		addUnreached(e, looks)
		e.After = vitals.Read()
	}
}

// proveLeaks has the garbage collector mark the goroutines that can never continue, if
// that is cheap, and returns true. Without the marks, the findings about them are
// suspicions. A program in which everything waits is left alone: nothing may be able to run
// in it again, and a collection would start a timer of the runtime, which looks like one of
// the program's.
func proveLeaks(s *stack.Snapshot) bool {
	if !leakproof.Available() || findings.AllBlocked(withoutOwn(s)) || !leakproof.Cheap(vitals.Read()) {
		return false
	}
	_, err := leakproof.Take()
	return err == nil
}

// iscgo is true if there is C code in the program (runtime/cgo.go). Its threads may call
// functions of the program at any time.
//
//go:linkname iscgo runtime.iscgo
var iscgo bool

// wakers is findings.Evidence.Wakers.
func wakers(final bool, hears func() bool) bool {
	if iscgo {
		return true
	}
	n, err := timers.Pending()
	return err != nil || n > 0 || final && hears()
}

// look takes a snapshot. If members is true, it tries to get the goroutines one by one:
// of a small program from a trace, of a large one from its memory. Otherwise, or if that
// is not possible, it uses a profile.
func look(members bool) (*stack.Snapshot, error) {
	if !members {
		return stack.Profile(ours.Is)
	}
	var traced *stack.Snapshot
	if listingIsQuick() {
		if traced = trace(); traced != nil && traced.Unread == 0 {
			return traced, nil
		}
	}
	s, err := stack.Read(ours.Is)
	if err == nil {
		return s, nil
	}
	p, profileErr := stack.Profile(ours.Is)
	if profileErr != nil {
		return nil, profileErr
	}
	p.NoMembers = err.Error()
	if traced != nil { // the profile has all goroutines, but no ids
		p.NoMembers, p.Unread, p.Unknown = "", traced.Unread, traced.Unknown
	}
	return p, nil
}

// trace takes the snapshot of a small program from a trace, and adds the labels from a
// profile. It returns nil if the trace has no room.
func trace() *stack.Snapshot {
	t, err := stack.TakeListing(smallRoom)
	if err != nil {
		return nil
	}
	defer t.Release()
	if t.Cut {
		return nil
	}
	s := t.Group(ours.Is)
	if p, err := stack.Labeled(ours.Is); err == nil {
		s.AddLabels(p)
	}
	return s
}

// listingIsQuick reports whether a listing stops the program for only a millisecond or
// two. That needs few goroutines, and no stacks with thousands of frames: a listing
// shows a hundred frames of each stack, but walks all of them.
func listingIsQuick() bool {
	const deep = 16 << 20 // bytes of stacks
	return runtime.NumGoroutine() <= smallProgram && vitals.StackBytes() <= deep
}

// withoutOwn returns the snapshot without the goroutines that are inside the package,
// such as the one that called Dump.
func withoutOwn(s *stack.Snapshot) *stack.Snapshot {
	rest := *s
	rest.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g stack.Group) bool {
		return len(g.Frames) > 0 && (g.State == "runnable" || g.State == "running") &&
			slices.ContainsFunc(g.Frames, func(f stack.Frame) bool { return isManhole(f.Package()) })
	})
	return &rest
}

// isManhole reports whether a package belongs to the manhole.
func isManhole(pkg string) bool {
	return pkg == "github.com/gomanhole/oneshot" || strings.HasPrefix(pkg, "github.com/gomanhole/oneshot/internal/")
}

// programCode returns what Code returns for this program.
func programCode() findings.Code {
	info, _ := debug.ReadBuildInfo() // nil without build information
	return Code(info)
}

// Code returns the information that distinguishes a program's packages from others. It
// comes from the build information in the binary, which may be nil.
func Code(info *debug.BuildInfo) findings.Code {
	c := findings.Code{Not: isManhole}
	if info != nil {
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
	records := memProfile(false)
	// A few hundred records have most of the memory. Looking up the names of the
	// rest is not worth the time.
	sort.Sort((*byInUse)(&records))
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

func (s *byInUse) Len() int           { return len(*s) }
func (s *byInUse) Less(i, j int) bool { return (*s)[i].InUseBytes() > (*s)[j].InUseBytes() }
func (s *byInUse) Swap(i, j int)      { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }

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
