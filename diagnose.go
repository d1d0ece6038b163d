package oneshot

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// How the program is looked at again where there is a suspicion: what is over
// by then is nothing to show anybody.
const lookAgain = 60 * time.Millisecond

// looksFor is how many looks there are at a program with so many goroutines: a
// look at a million takes a second.
func looksFor(goroutines int) int {
	switch {
	case goroutines > 200_000:
		return 1
	case goroutines > 20_000:
		return 2
	}
	return 3
}

// lookAround takes the snapshot that a dump shows, and says what stands out.
// What happens just now is what has happened since before.
func lookAround(ctx context.Context, before vitals.Sample) (*stack.Snapshot, []findings.Finding, error) {
	first, err := look(true)
	if err != nil {
		return nil, nil, err
	}
	e := &findings.Evidence{
		Looks:    []*stack.Snapshot{first},
		Before:   before,
		After:    vitals.Read(),
		Code:     programCode(),
		Heap:     sync.OnceValue(heapSites),
		Kinds:    vitals.ReadKinds,
		FullPipe: fullPipe,
	}
	e.Descriptors, _ = vitals.ReadDescriptors() // zero where it cannot be known
	looks := looksFor(first.Total)
	for {
		e.Final = len(e.Looks) == looks
		found := findings.Find(e)
		if len(found) == 0 || e.Final {
			return first, found, nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		next, err := look(first.Traced)
		if err != nil {
			return nil, nil, err
		}
		if next.Traced != first.Traced { // it has grown large meanwhile; they cannot be compared
			looks = len(e.Looks)
			continue
		}
		e.Looks = append(e.Looks, next)
		e.After = vitals.Read()
	}
}

// look takes a snapshot: of a small program a trace, if it may, with the labels
// of a profile.
func look(trace bool) (*stack.Snapshot, error) {
	if !trace || runtime.NumGoroutine() > smallProgram {
		return stack.Profile(own)
	}
	t, err := stack.TakeTrace(smallRoom)
	if err != nil || t.Cut {
		if t != nil {
			t.Release()
		}
		return stack.Profile(own)
	}
	defer t.Release()
	s := t.Group(own)
	if p, err := stack.Labeled(own); err == nil {
		s.AddLabels(p)
	}
	return s, nil
}

// programCode tells the program's packages from others by what the linker wrote.
func programCode() findings.Code {
	c := findings.Code{Not: func(pkg string) bool {
		return pkg == packagePath || strings.HasPrefix(pkg, packagePath+"/internal/")
	}}
	if info, ok := debug.ReadBuildInfo(); ok {
		c.Main = info.Main.Path
		c.Deps = make(map[string]bool, len(info.Deps))
		for _, dep := range info.Deps {
			c.Deps[dep.Path] = true
		}
	}
	return c
}

// heapSites reads the heap profile, which is always on unless the program has
// set runtime.MemProfileRate to 0, and stops nothing. It is as of the last
// collections.
func heapSites() []findings.HeapSite {
	var records []runtime.MemProfileRecord
	for n, ok := runtime.MemProfile(nil, false); !ok; {
		records = make([]runtime.MemProfileRecord, n+50)
		n, ok = runtime.MemProfile(records, false)
		records = records[:min(n, len(records))]
	}
	// Where most is, a few hundred records have it; the names of the rest are
	// not worth looking up.
	slices.SortFunc(records, func(a, b runtime.MemProfileRecord) int { return int(b.InUseBytes() - a.InUseBytes()) })
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

// unsampled is what a record of the heap profile stands for: an object of size
// s is in it with a probability of 1-exp(-s/rate), as in scaleHeapSample of
// runtime/pprof.
func unsampled(bytes, objects, rate int64) (int64, int64) {
	if objects == 0 || rate <= 1 {
		return bytes, objects
	}
	size := float64(bytes) / float64(objects)
	scale := 1 / (1 - math.Exp(-size/float64(rate)))
	return int64(float64(bytes) * scale), int64(float64(objects) * scale)
}
