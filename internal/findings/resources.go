package findings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
	sites, total := e.heapSites(nil)
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

// heapSites adds up the heap by places in the program's own code, the largest
// first. The frames of a site begin at this place. If only is not nil, heapSites
// leaves out the sites for which only returns false.
func (e *Evidence) heapSites(only func(HeapSite) bool) (sites []HeapSite, total int64) {
	if e.Heap == nil {
		return nil, 0
	}
	index := make(map[stack.Frame]int)
	for _, s := range e.Heap() {
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
	slices.SortStableFunc(sites, func(a, b HeapSite) int { return cmp.Compare(b.Bytes, a.Bytes) })
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
	// If the live heap alone is at the limit, one collection follows the other, no
	// matter how long each takes.
	full := e.After.LiveHeap >= limit/100*minLimitUsed
	if e.Final && !full && float64(cycles) < minCollections*seconds {
		return nil
	}
	f := Finding{
		Title: fmt.Sprintf("the memory limit of %s is reached: %s in use, %s of live heap, %.0f collections a second",
			vitals.Bytes(limit), vitals.Bytes(e.After.InUse()), vitals.Bytes(e.After.LiveHeap), float64(cycles)/max(seconds, 1e-9)),
		Weight: weightMemoryLimit,
	}
	sites, total := e.heapSites(nil)
	for _, s := range sites[:min(len(sites), 2)] {
		f.Lines = append(f.Lines, fmt.Sprintf("%d%% of the heap is from %s", 100*s.Bytes/max(total, 1), place(s.Frames[0])))
	}
	return []Finding{f}
}

// descriptors finds that almost all descriptors are in use, of what kind most of
// them are, and which goroutines and places may have opened them.
func descriptors(e *Evidence) []Finding {
	d := e.Descriptors
	if d.Limit <= 0 || int64(d.Open)*100 < int64(d.Limit)*minLimitUsed {
		return nil
	}
	f := Finding{
		Title:  fmt.Sprintf("%d of %d file descriptors are open", d.Open, d.Limit),
		Weight: weightDescriptors,
	}
	if e.Kinds == nil {
		return []Finding{f}
	}
	kinds, err := e.Kinds()
	if err != nil || len(kinds) == 0 {
		// Reading the kinds takes a descriptor, and there may be none left.
		return []Finding{f}
	}
	var names []string
	for _, k := range kinds[:min(len(kinds), 3)] {
		names = append(names, fmt.Sprintf("%d %s", k.Count, k.Name))
	}
	f.Lines = append(f.Lines, "most are: "+strings.Join(names, ", "))
	// Is there about one goroutine for each of them?
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		at := e.site(g.Frames)
		if at < 0 || 2*g.Count < kinds[0].Count || g.Count > kinds[0].Count*6/5+8 {
			continue
		}
		f.Lines = append(f.Lines, fmt.Sprintf("about as many goroutines (%d) wait at %s", g.Count, place(g.Frames[at])))
		if g.Creator.Function != "" {
			f.Lines = append(f.Lines, "    started at "+place(g.Creator))
		}
		break
	}
	sites, _ := e.heapSites(opensFile)
	for _, s := range sites[:min(len(sites), 2)] {
		f.Lines = append(f.Lines, "opened and not closed at "+place(s.Frames[0]))
	}
	return []Finding{f}
}

// opensFile reports whether the memory was allocated to open a file or connection.
func opensFile(s HeapSite) bool {
	return slices.ContainsFunc(s.Frames, func(f stack.Frame) bool {
		switch f.Function {
		case "os.newFile", "os.NewFile", "os.OpenFile", "os.openFileNolog", "net.newFD", "net.(*netFD).accept", "net.(*sysDialer).dialSingle", "net.internetSocket":
			return true
		}
		return false
	})
}
