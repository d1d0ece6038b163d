package compare

import (
	"cmp"
	"slices"
)

// minority returns how many of n dumps may share a difference, so that all of them are
// odd. Of fewer than five, only one can be odd: of four, two are a half.
func minority(n int) int {
	if n < 5 {
		return 1
	}
	return max(2, n/4)
}

// sharedUnit is how much farther several dumps must be from the others than one alone. There
// are more ways for two to be far by chance, and fewer others that show what chance does.
const sharedUnit = 1.5

// standing is how the value of a dump differs from those of most others.
type standing struct {
	above  bool      // it is above them; else below
	score  float64   // how far, in units of what may be chance; 0: it does not differ
	others []float64 // the values that it differs from, the least first
	with   []int     // the other dumps that differ in the same way
}

// standings returns the standing of each value: those that are above or below most others by
// more than chance, alone or else with as few as possible. chance returns what may be
// chance, for the largest value of the others. What the others differ by is chance, too.
func standings(values []float64, chance func(most float64) float64) []standing {
	all := make([]standing, len(values))
	order := make([]int, len(values)) // the dumps, by their values
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	sorted := slices.Sorted(slices.Values(values))
	for size := 1; size <= minority(len(values)); size++ {
		low, high := order[:size], order[len(order)-size:]
		add := func(few []int, above bool, others []float64, distance func(v float64) float64) {
			least, most := others[0], others[len(others)-1]
			unit := chance(most) + most - least
			if size > 1 {
				unit *= sharedUnit
			}
			// Values that nothing can have are no difference: their quotient may be no number.
			if slices.ContainsFunc(few, func(i int) bool { return !(distance(values[i])/unit >= 1) }) {
				return
			}
			for _, i := range few {
				if all[i].score == 0 {
					with := slices.DeleteFunc(slices.Clone(few), func(k int) bool { return k == i })
					slices.Sort(with)
					all[i] = standing{above, distance(values[i]) / unit, others, with}
				}
			}
		}
		above, below := sorted[:len(sorted)-size], sorted[size:]
		add(high, true, above, func(v float64) float64 { return v - above[len(above)-1] })
		add(low, false, below, func(v float64) float64 { return below[0] - v })
	}
	return all
}

// rangeText returns the least and the largest of the sorted values of the others.
func rangeText(others []float64, text func(float64) string) string {
	least, most := text(others[0]), text(others[len(others)-1])
	who := "the others"
	if len(others) == 1 {
		who = "the other"
	}
	return who + " " + cmp.Or(map[bool]string{true: most}[least == most], least+" to "+most)
}
