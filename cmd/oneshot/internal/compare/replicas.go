package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gomanhole/oneshot/internal/document"
)

// Difference is a respect in which a dump differs from all others, or with a few of them
// from most others.
type Difference struct {
	Kind  string   `json:"kind"`           // finding, goroutines, or the name of a vital sign
	Text  string   `json:"text"`           // for people
	Score float64  `json:"score"`          // in units of what may be chance
	With  []string `json:"with,omitempty"` // the other dumps that differ in the same way
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
	// findingScore is the score of a finding that most dumps do not have. The rules of the
	// findings have made sure already that it is not chance.
	findingScore = 5
)

// FindOdd finds the dumps that differ from all others. Of five dumps and more, a few may
// have the same fault: each of them then differs from most others. Of two dumps, it says
// which one has more.
func FindOdd(dumps []Dump) *Replicas {
	r := &Replicas{Head: document.Of("diff"), Mode: "replicas", SameBuild: SameBuild(dumps), Odd: []Odd{}}
	all := differences(dumps, r.SameBuild)
	for i, d := range dumps {
		r.Dumps = append(r.Dumps, d.Name)
		if len(all[i]) > 0 {
			r.Odd = append(r.Odd, Odd{Name: d.Name, Process: d.Process, Differences: all[i]})
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
		for k := range odd.Differences {
			d := &odd.Differences[k]
			d.With = slices.DeleteFunc(d.With, func(name string) bool { return !seen[name+"\n"+d.id] })
		}
	}
	r.Odd = slices.DeleteFunc(r.Odd, func(o Odd) bool { return len(o.Differences) == 0 })
	r.rank()
}

// differences returns for each dump the respects in which it differs from most others.
func differences(dumps []Dump, sameBuild bool) [][]Difference {
	all := make([][]Difference, len(dumps))
	for i, d := range dumps {
		for _, f := range d.Findings {
			id, prefix := findingID(f, sameBuild), "only here: "
			with := havingFinding(dumps, i, id, sameBuild)
			if len(with) >= minority(len(dumps)) {
				continue
			}
			if len(with) > 0 {
				prefix = "not in most others: "
			}
			all[i] = append(all[i], Difference{"finding", prefix + f.Title, findingScore, with, id})
		}
	}
	add := func(kind, name string, values []float64, text func(i int) string, valueText func(float64) string, chance func(most float64) float64) {
		for i, s := range standings(values, chance) {
			if s.score == 0 || !s.above && len(dumps) == 2 {
				continue
			}
			d := Difference{Kind: kind, Text: text(i) + "; " + rangeText(s.others, valueText), Score: s.score, id: name + " below"}
			if s.above {
				d.id = name + " above"
			}
			for _, k := range s.with {
				d.With = append(d.With, dumps[k].Name)
			}
			all[i] = append(all[i], d)
		}
	}
	for _, p := range places(dumps, sameBuild) {
		counts := make([]float64, len(dumps))
		for k, n := range p.counts {
			counts[k] = float64(n)
		}
		add("goroutines", p.name, counts, p.text, countText, chanceOfCount)
	}
	for _, s := range signs {
		if values, ok := s.values(dumps); ok {
			add(s.name, s.name, values, func(i int) string { return s.name + " " + s.text(values[i]) }, s.text,
				func(most float64) float64 { return s.floorOf(dumps) + most/4 })
		}
	}
	return all
}

// havingFinding returns the names of the dumps other than i that have a finding.
func havingFinding(dumps []Dump, i int, id string, sameBuild bool) (names []string) {
	for k, d := range dumps {
		if k != i && slices.ContainsFunc(d.Findings, func(f document.Finding) bool { return findingID(f, sameBuild) == id }) {
			names = append(names, d.Name)
		}
	}
	return names
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
