//go:build gc && go1.26 && !go1.28 && !oneshot_portable

package stack

import (
	"maps"
	"slices"
	"sort"
	_ "unsafe" // for go:linkname
)

// This file takes the records of a goroutine profile from the runtime, which
// gives them to runtime/pprof in the same way. That package makes a text of each
// record before it counts the equal ones. With a million goroutines the text
// takes two thirds of the memory and half of the time, and it is garbage that
// keeps the collector busy.
//
// The name of the function and the layouts of record and labelSet are those of
// Go 1.26 and 1.27. Before the build constraint lets in another release, compare
// its sources with these: pprof_goroutineProfileWithLabels and
// goroutineProfileWithLabelsConcurrent in runtime/mprof.go, StackRecord in
// internal/profilerecord, Set and Label in internal/runtime/pprof/label, and
// String of labelMap in runtime/pprof/label.go. With a release that nobody has
// compared, the text is read (records_other.go).

// recordsKnown reports whether this file is compiled in.
const recordsKnown = true

//go:linkname goroutineProfile runtime.pprof_goroutineProfileWithLabels
func goroutineProfile(p []record, labels []*labelSet) (n int, ok bool)

type record struct{ stack []uintptr }

// records counts the goroutines by their stacks. It returns false if that cannot
// be done.
func (p *profiler) records() bool {
	var records []record
	var labels []*labelSet
	n, ok := goroutineProfile(nil, nil)
	for try := 0; !ok; try++ {
		if try == 10 {
			return false // it grows faster than one can look
		}
		// It may have grown by the time of the second call.
		n += 10 + n/50
		records, labels = make([]record, n), make([]*labelSet, n)
		n, ok = goroutineProfile(records, labels)
	}
	index := make(map[uint64]int)
	type labeled struct {
		group int
		set   *labelSet // goroutines that one has started share it
	}
	var sets map[labeled]int
	for i, r := range records[:n] {
		if p.labeled && labels[i] == nil {
			continue
		}
		h := uint64(fnvOffset)
		for _, pc := range r.stack {
			h = (h ^ uint64(pc)) * fnvPrime
		}
		k, known := index[h]
		switch {
		case !known:
			k = p.add(1, r.stack)
			index[h] = k
		case k < 0:
			p.left++
		default:
			p.groups[k].Count++
		}
		if k >= 0 && labels[i] != nil {
			if sets == nil {
				sets = make(map[labeled]int)
			}
			sets[labeled{k, labels[i]}]++
		}
		records[i].stack = nil // for the collector, if it comes by
	}
	// The most frequent first: a group remembers some of them only.
	ordered := slices.Collect(maps.Keys(sets))
	sort.SliceStable(ordered, func(i, j int) bool { return sets[ordered[i]] > sets[ordered[j]] })
	for _, l := range ordered {
		p.groups[l.group].addLabels(l.set.String, sets[l])
	}
	return true
}
