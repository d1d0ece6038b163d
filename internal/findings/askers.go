package findings

import (
	"slices"

	"github.com/gomanhole/oneshot/internal/stack"
)

// onBehalf gives goroutines that requests have started, and still wait for, the entry of
// those requests. It joins what is the same then.
func (e *Evidence) onBehalf(all []*waiting) []*waiting {
	if !e.first().HasMembers || !slices.ContainsFunc(all, func(w *waiting) bool { return w.what == "goroutine" }) {
		return all
	}
	var joined []*waiting
	for _, w := range all {
		if w.what == "goroutine" {
			e.findAskers(w)
		}
		same := slices.IndexFunc(joined, func(other *waiting) bool {
			return w.askers != nil && other.askers != nil && other.waitKey == w.waitKey
		})
		if same < 0 {
			joined = append(joined, w)
			continue
		}
		to := joined[same]
		to.groups, to.count, to.stay = append(to.groups, w.groups...), to.count+w.count, to.stay+w.stay
		for id := range w.askers {
			to.askers[id] = true
		}
	}
	return joined
}

// findAskers sets the requests that have started almost all of the goroutines in w, if
// they have the same entry and wait for other goroutines.
func (e *Evidence) findAskers(w *waiting) {
	askers := make(map[uint64]bool)
	entries := make(map[*stack.Group]entry) // entryOf is not cheap
	var common entry
	n := 0
	for _, g := range w.groups {
		for _, m := range g.Members {
			parent := e.groupOf(m.Parent)
			if parent == nil || !blocked(parent) {
				continue
			}
			its, known := entries[parent]
			if !known {
				its = e.entryOf(parent)
				entries[parent] = its
			}
			if n == 0 {
				common = its
			}
			if its == common && its.what != "goroutine" {
				askers[m.Parent] = true
				n++
			}
		}
	}
	if n > 0 && n >= almostAll(w.count) {
		w.entry, w.askers = common, askers
	}
}
