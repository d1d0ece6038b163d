//go:build linux

package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Sample is what one look has seen.
type Sample struct {
	At          time.Time
	Vitals      vitals.Sample // from /proc
	Memory      vitals.Memory
	Cgroup      procfs.Cgroup
	Descriptors vitals.Descriptors // zero if it is not known
	Metrics     map[string]string  // nil if there is no session
	Stacks      Stacks
	Failed      error // why the goroutines are not known; nil: they are
}

// Screen keeps what was seen and draws it.
type Screen struct {
	title  string
	now    Sample
	before Sample // the look before; zero: there was none
	counts map[Group]*history
	looks  int
	least  int // what a group may have had at the look before that did not show it
}

// history is how many goroutines a group had.
type history struct {
	first, last int
	seen        int // the last look that had it
}

// NewScreen returns a screen with a title.
func NewScreen(title string) *Screen {
	return &Screen{title: title, counts: make(map[Group]*history)}
}

// maxHistory is of how many groups the screen keeps the history.
const maxHistory = 2000

// Add adds a look.
func (s *Screen) Add(now Sample) {
	s.before, s.now = s.now, now
	s.looks++
	if now.Failed != nil {
		return
	}
	for key, h := range s.counts {
		if len(s.counts) > maxHistory && h.seen < s.looks-1 {
			delete(s.counts, key)
		}
	}
	for _, g := range now.Stacks.Groups {
		key := Group{State: g.State, Where: g.Where}
		h := s.counts[key]
		if h == nil {
			h = &history{first: min(g.Count, s.least)}
			if s.looks == 1 {
				h.first = g.Count
			}
			s.counts[key] = h
		}
		if h.seen == s.looks { // another stack with the same place
			h.last += g.Count
		} else {
			h.last = g.Count
		}
		if h.seen == s.looks && s.looks == 1 {
			h.first += g.Count
		}
		h.seen = s.looks
	}
	s.least = 0
	if now.Stacks.More && len(now.Stacks.Groups) > 0 {
		s.least = slices.MinFunc(now.Stacks.Groups, func(a, b Group) int { return cmp.Compare(a.Count, b.Count) }).Count
	}
}

// Draw returns the lines of the screen, at most height of them and none longer than
// width.
func (s *Screen) Draw(width, height int) []string {
	var lines []string
	add := func(format string, args ...any) {
		if len(lines) < height {
			lines = append(lines, display.FitLine(fmt.Sprintf(format, args...), width))
		}
	}
	add("%s", s.title)
	for _, line := range []string{s.cpu(), s.memory(), s.collector(), s.goroutines()} {
		if line != "" {
			add("%s", line)
		}
	}
	if s.now.Failed != nil {
		add("")
		add("the goroutines are not known: %v", s.now.Failed)
		return lines
	}
	if found := s.now.Stacks.Findings; len(found) > 0 {
		add("")
		add("What stands out:")
		for _, f := range found {
			add("  %s", f)
		}
	}
	add("")
	add("%8s %8s  %-22s %s", "COUNT", "GREW BY", "STATE", "WHERE")
	for _, r := range s.rows() {
		add("%8d %8s  %-22s %s", r.count, r.grew(), display.FitLine(r.State, 22), r.Where)
	}
	return lines
}

type row struct {
	Group
	count, growth int
}

func (r row) grew() string {
	if r.growth == 0 {
		return ""
	}
	return fmt.Sprintf("%+d", r.growth)
}

// rows returns the groups: first those that have grown most since the beginning, then the
// largest.
func (s *Screen) rows() (rows []row) {
	for key, h := range s.counts {
		if h.seen == s.looks {
			rows = append(rows, row{key, h.last, h.last - h.first})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(max(b.growth, 0), max(a.growth, 0)), cmp.Compare(b.count, a.count), strings.Compare(a.State+a.Where, b.State+b.Where))
	})
	return rows
}

func (s *Screen) cpu() string {
	if s.before.At.IsZero() {
		return fmt.Sprintf("CPU of %d; %d threads", s.now.Vitals.Procs, s.now.Vitals.Threads)
	}
	busy, user := vitals.CPUs(s.before.Vitals.Usage, s.now.Vitals.Usage)
	text := fmt.Sprintf("CPU %.2f of %d", busy, s.now.Vitals.Procs)
	if busy >= 0.1 {
		text += fmt.Sprintf(", %.0f%% of it outside the kernel", 100*user)
	}
	if n := s.now.Cgroup.CPUs; n > 0 {
		text += fmt.Sprintf("; its cgroup may use %.3g", n)
	}
	return text + fmt.Sprintf("; %d threads", s.now.Vitals.Threads)
}

func (s *Screen) memory() string {
	text := fmt.Sprintf("memory %s resident, at most %s so far", vitals.Bytes(s.now.Memory.Resident), vitals.Bytes(s.now.Memory.Peak))
	if n := s.now.Cgroup.MemoryLimit; n > 0 {
		text += fmt.Sprintf("; its cgroup uses %s of %s", vitals.Bytes(s.now.Cgroup.MemoryUsed), vitals.Bytes(n))
	}
	if d := s.now.Descriptors; d.Limit > 0 {
		text += fmt.Sprintf("; %d of %d descriptors", d.Open, d.Limit)
	}
	return text
}

// collector returns the line about the heap and the garbage collector, or "" if only the
// program could tell.
func (s *Screen) collector() string {
	m := s.now.Metrics
	if m == nil {
		return ""
	}
	noun := "collections"
	if m["/gc/cycles/total:gc-cycles"] == "1" {
		noun = "collection"
	}
	text := fmt.Sprintf("heap %s, the next collection at %s, limit %s; %s %s",
		m["/memory/classes/heap/objects:bytes"], m["/gc/heap/goal:bytes"], m["/gc/gomemlimit:bytes"], m["/gc/cycles/total:gc-cycles"], noun)
	if s.before.Metrics == nil {
		return text
	}
	wall := s.now.At.Sub(s.before.At).Seconds()
	if n := s.difference("/gc/cycles/total:gc-cycles"); n > 0 {
		text += fmt.Sprintf(" (%+.0f)", n)
	}
	if cpu := s.difference("/cpu/classes/gc/total:cpu-seconds") - s.difference("/cpu/classes/gc/mark/idle:cpu-seconds"); cpu > 0 && wall > 0 {
		text += fmt.Sprintf(", %.2f of the CPUs", cpu/wall)
	}
	return text
}

// difference returns by how much a metric has grown since the look before.
func (s *Screen) difference(name string) float64 {
	return number(s.now.Metrics[name]) - number(s.before.Metrics[name])
}

// number returns a value of a metric that is a count or a duration.
func number(text string) float64 {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d.Seconds()
}

func (s *Screen) goroutines() string {
	m := s.now.Metrics
	if m == nil {
		return s.now.Stacks.Heading
	}
	text, separator := "goroutines "+m["/sched/goroutines:goroutines"], ": "
	for _, state := range [][2]string{{"running", "running"}, {"runnable", "runnable"}, {"waiting", "waiting"}, {"not-in-go", "in syscalls"}} {
		if n := m["/sched/goroutines/"+state[0]+":goroutines"]; n != "" && n != "0" {
			text += separator + n + " " + state[1]
			separator = ", "
		}
	}
	if s.before.Metrics != nil {
		if n := s.difference("/sched/goroutines-created:goroutines"); n > 0 {
			text += fmt.Sprintf("; %.0f started since the look before", n)
		}
	}
	return text
}
