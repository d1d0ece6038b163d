package findings

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// HeapSite is a place in the program that has allocated memory which is still in
// use. The numbers are estimates, since the heap profile contains samples only.
type HeapSite struct {
	Frames  []stack.Frame
	Bytes   int64
	Objects int64
}

// heap finds the place that allocated at least 40% of a large heap.
func heap(e *Evidence) []Finding {
	if e.After.LiveHeap < minHeap || e.Heap == nil {
		return nil
	}
	sites, total := e.heapSites(e.Heap, nil)
	if len(sites) == 0 || 5*sites[0].Bytes < 2*total {
		return nil
	}
	return []Finding{{
		Title: fmt.Sprintf("%d%% of the live heap of %s was allocated at one place",
			100*sites[0].Bytes/max(total, 1), vitals.Bytes(e.After.LiveHeap)),
		Lines:  []string{"at " + place(sites[0].Frames[0])},
		Weight: weightHeap,
	}}
}

// heapSites adds up the heap, or what from returns, by places in the program's own code, the largest
// first. The frames of a site begin at this place. If only is not nil, heapSites
// leaves out the sites for which only returns false.
func (e *Evidence) heapSites(from func() []HeapSite, only func(HeapSite) bool) (sites []HeapSite, total int64) {
	if from == nil {
		return nil, 0
	}
	index := make(map[stack.Frame]int)
	for _, s := range from() {
		total += s.Bytes
		if e.Code.Not != nil && slices.ContainsFunc(s.Frames, func(f stack.Frame) bool { return e.Code.Not(f.Package()) }) {
			continue // an allocation of the manhole itself
		}
		at := e.site(s.Frames)
		if at < 0 || e.rank(s.Frames[at]) < rankProgram || only != nil && !only(s) {
			continue
		}
		s.Frames = s.Frames[at:]
		i, ok := index[s.Frames[0]]
		if !ok {
			index[s.Frames[0]] = len(sites)
			sites = append(sites, s)
			continue
		}
		sites[i].Bytes += s.Bytes
		sites[i].Objects += s.Objects
	}
	sort.SliceStable(sites, func(i, j int) bool { return sites[i].Bytes > sites[j].Bytes })
	return sites, total
}

// memoryLimit finds a program that is at its memory limit, so that the garbage
// collector runs all the time.
func memoryLimit(e *Evidence) []Finding {
	limit := e.After.Limit
	if limit == 0 || limit >= vitals.NoLimit || e.After.InUse() < limit/100*minLimitUsed {
		return nil
	}
	cycles := e.After.Cycles - e.Before.Cycles
	seconds := e.span().Seconds()
	// If the live heap alone is at the limit, the collector runs all the time. Then the
	// number of collections does not matter, since each may take long.
	full := e.After.LiveHeap >= limit/100*minLimitUsed
	if e.Final && !full && float64(cycles) < minCollections*seconds {
		return nil
	}
	f := Finding{
		Title: fmt.Sprintf("the memory limit of %s is reached: %s in use, %s of live heap, %s a second",
			vitals.Bytes(limit), vitals.Bytes(e.After.InUse()), vitals.Bytes(e.After.LiveHeap), plaintext.Plural(int(math.Round(float64(cycles)/max(seconds, 1e-9))), "collection")),
		Weight: weightMemoryLimit,
	}
	sites, total := e.heapSites(e.Heap, nil)
	for _, s := range sites[:min(len(sites), 2)] {
		f.Lines = append(f.Lines, fmt.Sprintf("%d%% of the heap is from %s", 100*s.Bytes/max(total, 1), place(s.Frames[0])))
	}
	return []Finding{f}
}
