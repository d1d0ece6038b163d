package compare

import (
	"cmp"
	"slices"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
)

// Growth is the result of a comparison of one process at several moments.
type Growth struct {
	document.Head
	Mode        string           `json:"mode"` // time
	Process     document.Process `json:"process"`
	Dumps       []string         `json:"dumps"` // the oldest first
	Seconds     float64          `json:"seconds"`
	Places      []Course         `json:"places"` // of goroutines; the largest growth first
	Vitals      []Course         `json:"vitals"`
	NewFindings []string         `json:"new_findings"`
	Gone        []string         `json:"gone_findings"`
}

// Course is how a number went.
type Course struct {
	Name   string    `json:"name"`
	State  string    `json:"state,omitempty"` // of most of the goroutines, in the last dump that has some
	Values []float64 `json:"values"`
	text   func(float64) string
}

func (c *Course) growth() float64 { return c.Values[len(c.Values)-1] - c.Values[0] }

// Grown compares the dumps of one process.
func Grown(dumps []Dump) *Growth {
	dumps = slices.Clone(dumps)
	at := func(d Dump) time.Time {
		t, _ := time.Parse(time.RFC3339Nano, d.Process.At) // zero if it is none
		return t
	}
	slices.SortStableFunc(dumps, func(a, b Dump) int { return at(a).Compare(at(b)) })
	first, last := dumps[0], dumps[len(dumps)-1]
	g := &Growth{
		Head: document.Of("diff"), Mode: "time", Process: last.Process, Seconds: at(last).Sub(at(first)).Seconds(),
		NewFindings: missing(last, first), Gone: missing(first, last),
	}
	for _, d := range dumps {
		g.Dumps = append(g.Dumps, d.Name)
	}
	for _, p := range places(dumps, true) {
		c := Course{Name: p.name, text: countText}
		for i, n := range p.counts {
			c.Values = append(c.Values, float64(n))
			c.State = cmp.Or(p.states[i], c.State)
		}
		if c.growth() != 0 {
			g.Places = append(g.Places, c)
		}
	}
	slices.SortStableFunc(g.Places, func(a, b Course) int { return cmp.Compare(b.growth(), a.growth()) })
	for _, s := range signs {
		if values, ok := s.values(dumps); ok {
			g.Vitals = append(g.Vitals, Course{Name: s.name, Values: values, text: s.text})
		}
	}
	return g
}

// missing returns the titles of the findings of a that b does not have.
func missing(a, b Dump) (titles []string) {
	for _, f := range a.Findings {
		if !slices.ContainsFunc(b.Findings, func(other document.Finding) bool { return findingID(other, true) == findingID(f, true) }) {
			titles = append(titles, f.Title)
		}
	}
	return titles
}
