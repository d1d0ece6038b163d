package compare

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
)

// replica returns a dump of a process with these numbers of goroutines at places.
func replica(name string, counts map[string]int) Dump {
	d := Dump{Name: name}
	d.Process = document.Process{Name: "server", Start: 1, Host: name, Go: "go1.26.8"}
	d.Vitals = &document.Vitals{}
	for function, n := range counts {
		d.Total += n
		d.Groups = append(d.Groups, document.Group{Count: n, State: "select", Site: &document.Frame{Function: function, File: "main.go", Line: 3}})
	}
	d.Vitals.Goroutines.Total = uint64(d.Total)
	return d
}

// underLoad returns equal replicas. A place has as many goroutines as the load brings to
// it, within a factor of two, and the memory depends on the last collection.
func underLoad(n int) (all []Dump) {
	for i := range n {
		d := replica(fmt.Sprint("r", i), map[string]int{"main.a": 20 + rand.IntN(20), "main.b": rand.IntN(4), "main.c": 100 + rand.IntN(20), "main.d": 1})
		d.Vitals.Memory.Heap = uint64(20+rand.IntN(20)) << 20
		d.Vitals.CPU.Busy = rand.Float64()
		d.Vitals.Threads = uint64(8 + rand.IntN(6))
		all = append(all, d)
	}
	return all
}

func TestEqualReplicas(t *testing.T) {
	for n := 8; n <= 24; n++ {
		for range 200 {
			require.Empty(t, FindOdd(underLoad(n)).Odd)
		}
	}
	for range 1000 { // five are the fewest of which two can be odd
		for _, odd := range FindOdd(underLoad(5)).Odd {
			for _, d := range odd.Differences {
				require.Empty(t, d.With, d.Text)
			}
		}
	}
}

// faults are what a replica can have.
var faults = map[string]func(d *Dump){
	"one place has more": func(d *Dump) { d.Groups = append(d.Groups, replica("", map[string]int{"main.b": 60}).Groups...) },
	"one place has none": func(d *Dump) { d.Groups = replica("", map[string]int{"main.a": 30}).Groups },
	"memory":             func(d *Dump) { d.Vitals.Memory.Heap = 300 << 20 },
	"CPU":                func(d *Dump) { d.Vitals.CPU.Busy = 4 },
	"descriptors":        func(d *Dump) { d.Vitals.Descriptors = &document.Descriptors{Open: 400} },
	"a finding":          func(d *Dump) { d.Findings = []document.Finding{{Rule: "locks", Title: "they queue"}} },
}

func TestTheOddReplicaIsFirst(t *testing.T) {
	for name, fault := range faults {
		for range 20 {
			all := underLoad(8)
			odd := rand.IntN(len(all))
			fault(&all[odd])
			found := FindOdd(all)
			require.NotEmpty(t, found.Odd, name)
			require.Equal(t, all[odd].Name, found.Odd[0].Name, name)
			require.Contains(t, text(found), "The odd one out is "+all[odd].Name+" (server, ")
		}
	}
}

func text(a interface{ Text(*dump.Writer) }) string {
	var b strings.Builder
	a.Text(&dump.Writer{Ctx: context.Background(), W: &b})
	return b.String()
}

// What was there only for a moment does not count.
func TestAnotherLookMustConfirmIt(t *testing.T) {
	all := underLoad(4)
	all[1].Groups = append(all[1].Groups, replica("", map[string]int{"main.burst": 50, "main.stays": 70}).Groups...)
	later := underLoad(4)
	later[1].Groups = append(later[1].Groups, replica("", map[string]int{"main.stays": 80}).Groups...)
	found := FindOdd(all)
	require.Len(t, found.Odd, 1)
	require.Len(t, found.Odd[0].Differences, 2)
	found.Confirm(FindOdd(later))
	require.Contains(t, text(found), "main.stays")
	require.NotContains(t, text(found), "main.burst")
	found.Confirm(FindOdd(underLoad(4)))
	require.Empty(t, found.Odd)
}

// TestWhatIsNotKnownIsNotCompared has the dump of a process that was read from outside.
func TestWhatIsNotKnownIsNotCompared(t *testing.T) {
	inside, outside := replica("a", map[string]int{"main.a": 9}), replica("b", map[string]int{"main.a": 9})
	inside.Vitals.Memory.Heap = 1 << 30
	_, ok := signs[2].values([]Dump{inside, outside})
	require.Equal(t, heapSign, signs[2].name)
	require.False(t, ok)
	outside.Vitals.Memory.Heap = 1
	_, ok = signs[2].values([]Dump{inside, outside})
	require.True(t, ok)
}

// After an edit, the lines have moved, and the place is the same.
func TestDifferentBuilds(t *testing.T) {
	a, b := replica("a", map[string]int{"main.work": 50}), replica("b", map[string]int{"main.work": 50})
	b.Groups[0].Site.Line = 99
	require.Len(t, FindOdd([]Dump{a, b}).Odd, 2, "of one build, these are two places")
	b.Process.Revision = "abc"
	require.Empty(t, FindOdd([]Dump{a, b}).Odd)
	require.Contains(t, text(FindOdd([]Dump{a, b})), "different builds")
}

func TestTheSameProcess(t *testing.T) {
	a, b := replica("a", nil), replica("a", nil)
	require.True(t, SameProcess([]Dump{a, b}))
	b.Process.Start = 2
	require.False(t, SameProcess([]Dump{a, b}), "a new process with the pid of the old one")
	a.Process.Start, b.Process.Start = 0, 0
	require.False(t, SameProcess([]Dump{a, b}), "not known")
}

// The CPU use of a process is that between the two looks.
func TestTheCPUUseIsMeasured(t *testing.T) {
	look := func(total float64, at string) []Dump {
		all := underLoad(8)
		for i := range all {
			all[i].Process.At, all[i].Vitals.CPU.Total = at, 100+float64(i)/10
		}
		all[5].Vitals.CPU.Total += total
		return all
	}
	before, after := look(0, "2026-01-01T00:00:00Z"), look(1.5, "2026-01-01T00:00:02Z")
	for i := range before {
		Measure(&before[i], &after[i])
	}
	require.InDelta(t, 0.75, before[5].Vitals.CPU.Busy, 0.001)
	require.Zero(t, after[4].Vitals.CPU.Busy)
	found := FindOdd(before)
	found.Confirm(FindOdd(after))
	require.Contains(t, text(found), "The odd one out is r5 (server, pid 0 on r5):\n  CPUs in use 0.8; the others 0.0\n")
	one := replica("a", nil)
	Measure(&one, &one) // no time between them: nothing is known
	require.Zero(t, one.Vitals.CPU.Seconds)
}
