//go:build gc && go1.26 && !go1.27

package stack

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	_ "unsafe" // for go:linkname
)

// The records of a goroutine profile, as the runtime hands them to
// runtime/pprof. That makes a text of each before it counts equal ones, which is
// two thirds of the memory and half of the time that a profile of a million
// goroutines takes, and garbage enough to keep the collector busy meanwhile.
//
// The name and the layouts below are those of Go 1.26 (runtime/mprof.go,
// internal/profilerecord, runtime/pprof/label.go); with any other release the
// text is read, until somebody has looked.

//go:linkname goroutineProfile runtime.pprof_goroutineProfileWithLabels
func goroutineProfile(p []record, labels []*labelSet) (n int, ok bool)

type record struct{ stack []uintptr }

type labelSet struct{ list []label }

type label struct{ key, value string }

// String is as runtime/pprof writes labels.
func (s *labelSet) String() string {
	var b strings.Builder
	for i, l := range s.list {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q:%q", l.key, l.value)
	}
	return "{" + b.String() + "}"
}

// records counts the goroutines by their stacks; false if it cannot be done.
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
	ordered := slices.SortedFunc(maps.Keys(sets), func(a, b labeled) int { return cmp.Compare(sets[b], sets[a]) })
	for _, l := range ordered {
		p.groups[l.group].addLabels(l.set.String, sets[l])
	}
	return true
}
