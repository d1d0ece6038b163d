// Package compare compares dumps of goroutines and vital signs: of one process at several
// moments, or of several processes at one moment. It does not know where the dumps come
// from.
package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Dump is a dump with the name under which a person knows it.
type Dump struct {
	Name string
	document.Stacks
}

// SameProcess reports whether all dumps are of one process.
func SameProcess(dumps []Dump) bool {
	first := dumps[0].Process
	return first.Start != 0 && !slices.ContainsFunc(dumps, func(d Dump) bool {
		p := d.Process
		return p.Host != first.Host || p.PID != first.PID || p.Start != first.Start
	})
}

// SameBuild reports whether all dumps are of one build, as far as the dumps tell.
func SameBuild(dumps []Dump) bool {
	of := func(p document.Process) string {
		return fmt.Sprint(p.Module, " ", p.Version, " ", p.Revision, " ", p.Modified, " ", p.Go, " ", p.Arch)
	}
	return !slices.ContainsFunc(dumps, func(d Dump) bool { return of(d.Process) != of(dumps[0].Process) })
}

// place is a place in the code at which goroutines are, with their number in each dump.
type place struct {
	name   string   // FUNCTION  FILE:LINE
	counts []int    // by dump
	states []string // the most frequent one in each dump
}

// text describes the goroutines of the dump i at the place.
func (p *place) text(i int) string {
	text := fmt.Sprintf("%d at %s", p.counts[i], p.name)
	if p.states[i] != "" {
		text += ", " + p.states[i]
	}
	return text
}

// places returns the places of all dumps. A place is the frame of a group that says most,
// whatever the state of the goroutines is. If the dumps are of different builds, a place
// is a function, since its lines may have moved.
func places(dumps []Dump, sameBuild bool) []*place {
	all := make(map[string]*place)
	for i, d := range dumps {
		largest := make(map[string]int)
		for _, g := range d.Groups {
			id, name := "", "(not begun yet)"
			if f := g.Site; f != nil {
				id, name = f.Function, f.Function
				if f.File != "" {
					name += fmt.Sprintf("  %s:%d", f.File, f.Line)
				}
				if sameBuild {
					id = name
				}
			}
			p := all[id]
			if p == nil {
				p = &place{name: name, counts: make([]int, len(dumps)), states: make([]string, len(dumps))}
				all[id] = p
			}
			p.counts[i] += g.Count
			if g.Count > largest[id] {
				largest[id], p.states[i] = g.Count, g.State
			}
		}
	}
	list := make([]*place, 0, len(all))
	for _, p := range all {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *place) int { return strings.Compare(a.name, b.name) })
	return list
}

// sign is a vital sign.
type sign struct {
	name  string
	floor float64 // a difference that means nothing
	of    func(*document.Vitals) float64
	text  func(float64) string
}

func bytesText(v float64) string { return vitals.Bytes(uint64(v)) }
func countText(v float64) string { return fmt.Sprintf("%.0f", v) }

// signs are the vital signs that are compared.
var signs = []sign{
	{"goroutines", 20, func(v *document.Vitals) float64 { return float64(v.Goroutines.Total) }, countText},
	{cpuSign, 0.7, func(v *document.Vitals) float64 { return v.CPU.Busy }, func(v float64) string { return fmt.Sprintf("%.1f", v) }},
	{heapSign, 16 << 20, func(v *document.Vitals) float64 { return float64(v.Memory.Heap) }, bytesText},
	{"memory", 64 << 20, func(v *document.Vitals) float64 { return float64(max(v.Memory.InUse, v.Memory.Resident)) }, bytesText},
	{"descriptors", 20, func(v *document.Vitals) float64 {
		if v.Descriptors == nil {
			return 0
		}
		return float64(v.Descriptors.Open)
	}, countText},
	{"threads", 10, func(v *document.Vitals) float64 { return float64(v.Threads) }, countText},
	{"wait for a CPU (p99)", 0.05, func(v *document.Vitals) float64 { return v.CPU.Latency },
		func(v float64) string { return fmt.Sprintf("%.1f ms", 1000*v) }},
	{"collector's share of the CPU time", 0.15, func(v *document.Vitals) float64 { return v.CPU.Collector },
		func(v float64) string { return fmt.Sprintf("%.0f%%", 100*v) }},
}

// values returns a vital sign of each dump. ok is false if a dump does not have it.
func (s sign) values(dumps []Dump) (all []float64, ok bool) {
	for _, d := range dumps {
		if d.Vitals == nil || s.name == heapSign && d.Vitals.Memory.Heap == 0 { // not known from outside
			return nil, false
		}
		all = append(all, s.of(d.Vitals))
	}
	return all, true
}

// floorOf returns the floor for these dumps. The CPU use of a few milliseconds says less than
// that of seconds.
func (s sign) floorOf(dumps []Dump) float64 {
	if s.name != cpuSign || slices.ContainsFunc(dumps, func(d Dump) bool { return d.Vitals.CPU.Seconds < 1 }) {
		return s.floor
	}
	return 0.25
}

const (
	cpuSign  = "CPUs in use"
	heapSign = "heap"
)

// Measure replaces the CPU use in two dumps of a process by that between them, if they
// tell.
func Measure(before, after *Dump) {
	from, err1 := time.Parse(time.RFC3339Nano, before.Process.At)
	to, err2 := time.Parse(time.RFC3339Nano, after.Process.At)
	a, b := before.Vitals, after.Vitals
	wall := to.Sub(from).Seconds()
	if err1 != nil || err2 != nil || a == nil || b == nil || a.CPU.Total == 0 || b.CPU.Total < a.CPU.Total || wall <= 0 {
		return
	}
	busy := (b.CPU.Total - a.CPU.Total) / wall
	for _, v := range []*document.Vitals{a, b} {
		v.CPU.Busy, v.CPU.Seconds = busy, wall
	}
}

// chanceOfCount is how much the number of goroutines at a place may differ by chance: they
// come and go under load.
func chanceOfCount(most float64) float64 { return 4 + 3*math.Sqrt(most) }
