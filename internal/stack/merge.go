package stack

import (
	"container/heap"
	"slices"
	"sort"
)

// Merge puts groups together that are in the same state and for which shown returns
// the same frames. A merged group has the frames of its largest group. Its key depends
// only on the state and on what shown returned.
func (s *Snapshot) Merge(shown func(*Group) []Frame) *Snapshot {
	merged := *s
	merged.Groups, merged.index = make([]Group, 0, len(s.Groups)), nil
	index := make(map[uint64]int, len(s.Groups))
	parts := make([]runs, 0, len(s.Groups)) // of each merged group
	for i := range s.Groups {
		g := s.Groups[i]
		same := Group{State: g.State, Frames: shown(&g)}
		g.key = same.hash()
		g.Stacks = max(g.Stacks, 1)
		at, known := index[g.key]
		if !known {
			index[g.key] = len(merged.Groups)
			merged.Groups, parts = append(merged.Groups, g), append(parts, runs{g.Members})
			continue
		}
		to := &merged.Groups[at]
		if to.Stacks == 1 { // until now it shares them with the snapshot
			to.Labels = slices.Clone(to.Labels)
		}
		to.Stacks += g.Stacks
		to.Count += g.Count
		parts[at] = append(parts[at], g.Members)
		for _, l := range g.Labels {
			to.addLabels(func() string { return l.Labels }, l.Count)
		}
		to.OtherLabels += g.OtherLabels
	}
	if len(merged.Groups) == len(s.Groups) {
		return &merged // in the old order
	}
	for i := range merged.Groups {
		if g := &merged.Groups[i]; g.Stacks > 1 {
			g.Members = parts[i].merge()
			sort.Sort((*byCount)(&g.Labels))
		}
	}
	sort.Sort((*bySize)(&merged.Groups))
	return &merged
}

// byCount orders labels. The most frequent ones come first.
type byCount []LabelCount

func (s *byCount) Len() int      { return len(*s) }
func (s *byCount) Swap(i, j int) { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }

func (s *byCount) Less(i, j int) bool {
	a, b := &(*s)[i], &(*s)[j]
	if a.Count != b.Count {
		return a.Count > b.Count
	}
	return a.Labels < b.Labels
}

// runs are lists of goroutines, each of them ordered by id. As a heap.Interface, the one
// whose first goroutine has the smallest id comes first.
type runs [][]Goroutine

// merge returns all goroutines in the order of their ids. There may be a million, so
// they are neither copied twice nor sorted again. It uses up the runs.
func (r *runs) merge() []Goroutine {
	n := 0
	for _, run := range *r {
		n += len(run)
	}
	if n == 0 {
		return nil // there are no members in a profile
	}
	all := make([]Goroutine, 0, n)
	*r = slices.DeleteFunc(*r, func(run []Goroutine) bool { return len(run) == 0 })
	heap.Init(r)
	for len(all) < n {
		first := &(*r)[0]
		all = append(all, (*first)[0])
		if *first = (*first)[1:]; len(*first) > 0 {
			heap.Fix(r, 0)
		} else {
			heap.Pop(r)
		}
	}
	return all
}

func (r *runs) Len() int           { return len(*r) }
func (r *runs) Less(i, j int) bool { return (*r)[i][0].ID < (*r)[j][0].ID }
func (r *runs) Swap(i, j int)      { (*r)[i], (*r)[j] = (*r)[j], (*r)[i] }
func (r *runs) Push(run any)       { *r = append(*r, run.([]Goroutine)) }

func (r *runs) Pop() any {
	last := len(*r) - 1
	run := (*r)[last]
	*r = (*r)[:last]
	return run
}
