package stack

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/inside"
)

// Read reads all goroutines one by one from the memory of the program. It does not
// stop the program, except for an instant if there are goroutines that run. Its error
// says why that cannot be done in this program. Then a profile must do, whose groups
// have no members.
//
// The program goes on meanwhile. Each goroutine is shown as it was at some moment of the
// reading. A goroutine that runs all the time is shown without a stack.
func Read(exclude Exclude) (s *Snapshot, err error) {
	for range countAttempts {
		if s, err = readOnce(exclude); !errors.As(err, new(countError)) {
			break
		}
	}
	return s, err
}

// countAttempts is how often the goroutines are read if their number is not the runtime's.
// While the reader waits for a CPU, so many may come and go that both are right.
const countAttempts = 3

// countError says that the number of goroutines is not the runtime's.
type countError struct{ read, runtime int }

func (e countError) Error() string {
	return fmt.Sprintf("%d were read, but the runtime counts %d", e.read, e.runtime)
}

func readOnce(exclude Exclude) (*Snapshot, error) {
	before := runtime.NumGoroutine()
	r := reading{
		exclude: exclude,
		index:   make(map[uint64]int),
		texts:   make(map[uint64]int),
		labels:  make(labelCounts),
		members: make([]Goroutine, 0, before+before/50+100),
	}
	r.groupOf = make([]int32, 0, cap(r.members))
	if err := inside.Read(&r); err != nil {
		return nil, err
	}
	if err := r.checkCount(before, runtime.NumGoroutine()); err != nil {
		return nil, err
	}
	r.arrange()
	r.labels.addTo(r.groups)
	s := newSnapshot(r.groups)
	s.Excluded, s.HasMembers = r.excluded, true
	return s, nil
}

// CannotRead returns the reason why Read returns an error in this program, or "".
func CannotRead() string {
	if err := inside.Check(); err != nil {
		return "the goroutines of a large program cannot be read one by one, and are shown without ids, minutes and creators: " + err.Error()
	}
	return ""
}

// reading groups the goroutines that are read. It is the inside.Groups.
type reading struct {
	exclude  Exclude
	groups   []Group
	index    map[uint64]int // maps the keys of inside to the groups
	texts    map[uint64]int // maps the keys of the groups to the groups
	labels   labelCounts
	members  []Goroutine // of all groups
	groupOf  []int32     // the group of each member
	excluded int
	pcs      []uintptr // reused
}

// These stand for a group.
const (
	excluded = -1 // goroutines that are left out
	hiddenG  = -2 // goroutines that the runtime does not show either
)

func (r *reading) Find(key uint64) (group int, ok bool) {
	group, ok = r.index[key]
	return group, ok
}

func (r *reading) Create(key uint64, g *inside.Goroutine) int {
	i := r.create(g)
	r.index[key] = i
	return i
}

func (r *reading) create(g *inside.Goroutine) int {
	if r.pcs = inside.Expand(r.pcs[:0], g.Stack); g.Self {
		r.pcs = make([]uintptr, 100)
		r.pcs = r.pcs[:runtime.Callers(1, r.pcs)]
	}
	frames := appendFrames(nil, r.pcs)
	if slices.ContainsFunc(frames, func(f runtime.Frame) bool { return r.exclude(f.Function) }) {
		return excluded
	}
	if g.Finalizers && !slices.ContainsFunc(frames, func(f runtime.Frame) bool { return !strings.HasPrefix(f.Function, "runtime.") }) {
		return hiddenG
	}
	group := Group{State: inside.StateText(g.State), Frames: trim(plain(frames)), Deeper: len(frames) > 0 && !g.Whole}
	if g.Creator != 0 {
		if f := plain(appendFrames(nil, inside.Expand(nil, []uintptr{g.Creator}))); len(f) > 0 {
			group.Creator = f[len(f)-1] // not a function that is inlined into it
		}
	}
	key := group.hash()
	i, known := r.texts[key]
	if !known {
		i = len(r.groups)
		r.texts[key] = i
		r.groups = append(r.groups, group)
	}
	return i
}

func (r *reading) Add(group int, g *inside.Goroutine) {
	switch group {
	case excluded:
		r.excluded++
		return
	case hiddenG:
		return
	}
	r.groups[group].Count++
	r.groupOf = append(r.groupOf, int32(group))
	r.members = append(r.members, Goroutine{ID: g.ID, Parent: g.Parent, Minutes: int32(g.Minutes), Locked: g.Locked, Leaked: g.Leaked, Turns: Turns(g.Turns, g.Stop)})
	r.labels.count(group, (*labelSet)(g.Labels))
}

// arrange gives each group its members. They are brought into order where they are:
// there may be very many.
func (r *reading) arrange() {
	next := make([]int32, len(r.groups))
	end := int32(0)
	for i := range r.groups {
		next[i] = end
		end += int32(r.groups[i].Count)
		r.groups[i].Members = r.members[next[i]:end:end]
	}
	place := r.groupOf // from here on, where each member belongs
	for i, g := range r.groupOf {
		place[i] = next[g]
		next[g]++
	}
	for i := range r.members {
		for int(place[i]) != i {
			to := place[i]
			r.members[i], r.members[to] = r.members[to], r.members[i]
			place[i], place[to] = place[to], place[i]
		}
	}
}

// checkCount compares the number of goroutines with the runtime's, before and after the
// reading. Goroutines that begin or end meanwhile may be counted or not.
func (r *reading) checkCount(before, after int) error {
	n := len(r.members) + r.excluded
	least, most := min(before, after), max(before, after)
	if slack := 100 + most/20; n < least-slack || n > most+slack {
		return countError{n, after}
	}
	return nil
}
