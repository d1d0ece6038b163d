package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gomanhole/oneshot/internal/document"
)

// Difference is a respect in which a dump differs from all others.
type Difference struct {
	Kind  string  `json:"kind"`  // finding, goroutines, or the name of a vital sign
	Text  string  `json:"text"`  // for people
	Score float64 `json:"score"` // in units of what may be chance
	id    string
}

// Odd is a dump that differs from the others.
type Odd struct {
	Name        string           `json:"name"`
	Process     document.Process `json:"process"`
	Score       float64          `json:"score"`
	Differences []Difference     `json:"differences"` // the largest first
}

// Replicas is the result of a comparison of several processes.
type Replicas struct {
	document.Head
	Mode      string   `json:"mode"` // replicas
	Dumps     []string `json:"dumps"`
	SameBuild bool     `json:"same_build"`
	Odd       []Odd    `json:"odd"` // the one that differs most first
}

const (
	// most is the largest part of a score that one difference can be.
	most = 10
	// findingScore is the score of a finding that only one dump has. The rules of the
	// findings have made sure already that it is not chance.
	findingScore = 5
)

// FindOdd finds the dumps that differ from all others. Of two dumps, it says which one has
// more.
func FindOdd(dumps []Dump) *Replicas {
	r := &Replicas{Head: document.Of("diff"), Mode: "replicas", SameBuild: SameBuild(dumps), Odd: []Odd{}}
	for i, d := range dumps {
		r.Dumps = append(r.Dumps, d.Name)
		if odd := (Odd{Name: d.Name, Process: d.Process, Differences: differences(dumps, i, r.SameBuild)}); len(odd.Differences) > 0 {
			r.Odd = append(r.Odd, odd)
		}
	}
	r.rank()
	return r
}

// rank computes the scores, and sorts by them.
func (r *Replicas) rank() {
	for i := range r.Odd {
		odd := &r.Odd[i]
		odd.Score = 0
		for _, d := range odd.Differences {
			odd.Score += min(d.Score, most)
		}
		slices.SortStableFunc(odd.Differences, func(a, b Difference) int { return cmp.Compare(b.Score, a.Score) })
	}
	slices.SortStableFunc(r.Odd, func(a, b Odd) int { return cmp.Compare(b.Score, a.Score) })
}

// Confirm keeps only the differences that another comparison of the same processes, a
// moment later, has found too.
func (r *Replicas) Confirm(later *Replicas) {
	seen := make(map[string]bool)
	for _, odd := range later.Odd {
		for _, d := range odd.Differences {
			seen[odd.Name+"\n"+d.id] = true
		}
	}
	for i := range r.Odd {
		odd := &r.Odd[i]
		odd.Differences = slices.DeleteFunc(odd.Differences, func(d Difference) bool { return !seen[odd.Name+"\n"+d.id] })
	}
	r.Odd = slices.DeleteFunc(r.Odd, func(o Odd) bool { return len(o.Differences) == 0 })
	r.rank()
}

// differences returns the respects in which the dump i differs from all others.
func differences(dumps []Dump, i int, sameBuild bool) (all []Difference) {
	for _, f := range dumps[i].Findings {
		id := findingID(f, sameBuild)
		if !slices.ContainsFunc(dumps, func(d Dump) bool {
			return d.Name != dumps[i].Name && slices.ContainsFunc(d.Findings, func(other document.Finding) bool { return findingID(other, sameBuild) == id })
		}) {
			all = append(all, Difference{"finding", "only here: " + f.Title, findingScore, id})
		}
	}
	two := len(dumps) == 2
	for _, p := range places(dumps, sameBuild) {
		counts := make([]float64, len(dumps))
		for k, n := range p.counts {
			counts[k] = float64(n)
		}
		above, below := excess(counts, i, chanceOfCount)
		text := fmt.Sprintf("%d at %s", p.counts[i], p.name)
		if p.states[i] != "" {
			text += ", " + p.states[i]
		}
		text += "; " + rangeText(counts, i, countText)
		switch {
		case above >= 1:
			all = append(all, Difference{"goroutines", text, above, p.name + " above"})
		case below >= 1 && !two:
			all = append(all, Difference{"goroutines", text, below, p.name + " below"})
		}
	}
	for _, s := range signs {
		values, ok := s.values(dumps)
		if !ok {
			continue
		}
		above, below := excess(values, i, func(most float64) float64 { return s.floorOf(dumps) + most/4 })
		text := fmt.Sprintf("%s %s; %s", s.name, s.text(values[i]), rangeText(values, i, s.text))
		switch {
		case above >= 1:
			all = append(all, Difference{s.name, text, above, s.name + " above"})
		case below >= 1 && !two:
			all = append(all, Difference{s.name, text, below, s.name + " below"})
		}
	}
	return all
}

// findingID returns what is the same in the findings of all processes about one thing.
func findingID(f document.Finding, sameBuild bool) string {
	id := f.Rule
	if len(f.Places) > 0 {
		id += " " + f.Places[0].Function
		if sameBuild {
			id += fmt.Sprint(" ", f.Places[0].Line)
		}
	}
	return id
}
