//go:build gc && go1.26 && !go1.28 && !oneshot_portable

package stack

import _ "unsafe" // for go:linkname

// This file gets the records of a goroutine profile from the runtime, through the
// function that runtime/pprof uses. runtime/pprof formats each record as text
// before it counts equal records. With a million goroutines, the text takes two
// thirds of the memory and half of the time, and leaves garbage that keeps the
// collector busy.
//
// The name of the function and the layouts of record and labelSet are those of
// Go 1.26 and 1.27. Before you extend the build constraint to another release,
// compare its sources with this file: pprof_goroutineProfileWithLabels and
// goroutineProfileWithLabelsConcurrent in runtime/mprof.go, StackRecord in
// internal/profilerecord, Set and Label in internal/runtime/pprof/label, and
// String of labelMap in runtime/pprof/label.go. With all other releases, the
// profile is read as text (records_other.go).

// recordsKnown reports whether this file is compiled in.
const recordsKnown = true

//go:linkname goroutineProfile runtime.pprof_goroutineProfileWithLabels
func goroutineProfile(p []record, labels []*labelSet) (n int, ok bool)

// record is one goroutine of a profile.
type record struct{ stack []uintptr }

// records counts the goroutines by their stacks. It returns false if it could not
// get the records.
func (p *profiler) records() bool {
	var records []record
	var labels []*labelSet
	n, ok := goroutineProfile(nil, nil)
	for try := 0; !ok; try++ {
		if try == 10 {
			return false // goroutines start faster than we can make room for them
		}
		// There may be more goroutines at the next call.
		n += 10 + n/50
		records, labels = make([]record, n), make([]*labelSet, n)
		n, ok = goroutineProfile(records, labels)
	}
	index := make(map[uint64]int)
	sets := make(labelCounts)
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
			p.excluded++
		default:
			p.groups[k].Count++
		}
		if k >= 0 {
			sets.count(k, labels[i])
		}
		records[i].stack = nil // the collector may free it now
	}
	sets.addTo(p.groups)
	return true
}
