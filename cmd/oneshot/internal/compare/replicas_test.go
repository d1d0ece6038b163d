package compare

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/document"
)

// TestAFewOddReplicas have the same fault. They are a minority, and so the odd ones.
func TestAFewOddReplicas(t *testing.T) {
	for name, fault := range faults {
		for _, test := range []struct{ n, few int }{{5, 2}, {8, 2}, {12, 3}, {40, 10}} {
			all := underLoad(test.n)
			var want []string
			for i := range test.few {
				fault(&all[3*i])
				want = append(want, all[3*i].Name)
			}
			found := FindOdd(all)
			var got []string
			for _, odd := range found.Odd[:min(len(found.Odd), test.few)] {
				got = append(got, odd.Name)
				with := append([]string{odd.Name}, odd.Differences[0].With...)
				require.ElementsMatch(t, want, with, name)
			}
			require.ElementsMatch(t, want, got, "%s, %d of %d", name, test.few, test.n)
			require.Contains(t, text(found), fmt.Sprintf("\n%d of %d differ from the others: %s", test.few, test.n, got[0]))
			require.Contains(t, text(found), fmt.Sprintf("\n%s (server, pid 0 on %[1]s):\n  ", got[1]))
			require.NotContains(t, text(found), "odd one")
			require.NotContains(t, text(found), "less different: ")
		}
	}
}

// TestValuesThatNothingCanHave have no part in a score, which must be a number.
func TestValuesThatNothingCanHave(t *testing.T) {
	for _, counts := range [][]int{{-40, 1, 1, 1}, {-40, -40, -40, -40}, {math.MinInt, math.MaxInt, 1, 1}, {0, 0, 0, -9}} {
		var all []Dump
		for i, n := range counts {
			d := replica(fmt.Sprint("r", i), map[string]int{"main.a": n})
			d.Vitals.CPU.Busy = float64(n) * math.MaxFloat64
			all = append(all, d)
		}
		for _, odd := range FindOdd(all).Odd {
			require.False(t, math.IsNaN(odd.Score), "%v: %v", counts, odd)
		}
	}
}

// If too many have it, nobody can say which ones are odd.
func TestManyAreNotOdd(t *testing.T) {
	for name, fault := range faults {
		for _, test := range []struct{ n, some int }{{4, 2}, {5, 3}, {6, 3}, {8, 3}, {8, 4}, {8, 8}, {12, 4}} {
			all := underLoad(test.n)
			for i := range test.some {
				fault(&all[i])
			}
			for _, odd := range FindOdd(all).Odd {
				require.GreaterOrEqual(t, slices.IndexFunc(all, func(d Dump) bool { return d.Name == odd.Name }), test.some, "%s, %d of %d", name, test.some, test.n)
			}
		}
	}
}

// The one with the largest fault is still first, and alone if the others have another fault.
func TestFaultsOfSeveralKinds(t *testing.T) {
	all := underLoad(8)
	for _, i := range []int{1, 5} {
		all[i].Vitals.Descriptors = &document.Descriptors{Open: 60}
	}
	all[3].Groups = append(all[3].Groups, replica("", map[string]int{"main.leak": 900}).Groups...)
	found := FindOdd(all)
	require.Len(t, found.Odd, 3)
	require.Equal(t, "r3", found.Odd[0].Name)
	require.Empty(t, found.Odd[0].Differences[0].With)
	require.Contains(t, text(found), "\nThe odd one out is r3 (server, pid 0 on r3):\n  900 at main.leak")
	require.Contains(t, text(found), "\nless different: r1 (server, pid 0 on r1):\n  descriptors 60; the others 0\n")
	require.Contains(t, text(found), "\nless different: r5 ")
}

// Of two with the same fault, the one that has much more of it differs from all others.
func TestTwoWithUnequalFaults(t *testing.T) {
	all := underLoad(8)
	for i, n := range map[int]int{3: 2000, 5: 100} {
		all[i].Groups = append(all[i].Groups, replica("", map[string]int{"main.leak": n}).Groups...)
	}
	found := FindOdd(all)
	require.Len(t, found.Odd, 2)
	require.Equal(t, "2000 at main.leak  main.go:3, select; the others 0 to 100", found.Odd[0].Differences[0].Text)
	require.Empty(t, found.Odd[0].Differences[0].With)
	require.Equal(t, "100 at main.leak  main.go:3, select; the others 0", found.Odd[1].Differences[0].Text)
	require.Equal(t, []string{"r3"}, found.Odd[1].Differences[0].With)
	require.Contains(t, text(found), "\n2 of 8 differ from the others: r3, r5\n")
}

// If the later look has only one of two, the other is not named any more.
func TestOneOfTwoIsConfirmed(t *testing.T) {
	fault := func(all []Dump, odd ...int) *Replicas {
		for _, i := range odd {
			all[i].Findings = []document.Finding{{Rule: "locks", Title: "they queue"}}
		}
		return FindOdd(all)
	}
	found := fault(underLoad(8), 2, 6)
	require.Contains(t, text(found), "\n2 of 8 differ from the others: r2, r6\n\nr2 (server, pid 0 on r2):\n  not in most others: they queue\n")
	found.Confirm(fault(underLoad(8), 2, 6))
	require.Len(t, found.Odd, 2)
	require.Equal(t, []string{"r6"}, found.Odd[0].Differences[0].With)
	found.Confirm(fault(underLoad(8), 6))
	require.Len(t, found.Odd, 1)
	require.Empty(t, found.Odd[0].Differences[0].With)
	require.Contains(t, text(found), "\nThe odd one out is r6 ")
}
