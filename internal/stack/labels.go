package stack

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// labelSet is a set of pprof labels. Its memory layout is that of
// runtime/pprof/label.go.
type labelSet struct{ list []label }

type label struct{ key, value string }

// String returns the labels as runtime/pprof writes them: {"tenant":"acme"}.
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

// labelCounts counts the goroutines of groups by their labels. A goroutine shares its
// set of labels with the goroutines that it starts.
type labelCounts map[labeled]int

type labeled struct {
	group int
	set   *labelSet
}

func (c labelCounts) count(group int, set *labelSet) {
	if set != nil {
		c[labeled{group, set}]++
	}
}

// addTo adds the labels to the groups. The most frequent sets come first, since a group
// keeps only some of them.
func (c labelCounts) addTo(groups []Group) {
	ordered := slices.Collect(maps.Keys(c))
	sort.SliceStable(ordered, func(i, j int) bool { return c[ordered[i]] > c[ordered[j]] })
	for _, l := range ordered {
		groups[l.group].addLabels(l.set.String, c[l])
	}
}
