package findings

import (
	"fmt"
	"slices"

	"github.com/gomanhole/oneshot/internal/stack"
)

// crew is the goroutines with the same outermost function of the program.
type crew struct {
	entry  string
	groups []*stack.Group
	count  int
}

// strays finds the worker that has missed its wakeup: goroutines that stay where
// they are while others with the same task go on, or that have waited for
// minutes when the others have not. Which goroutine is which is known only in a
// trace, and so is this.
func strays(e *Evidence) []Finding {
	first := e.first()
	if !first.Traced {
		return nil
	}
	var crews []*crew
	for i := range first.Groups {
		if e.late() {
			break
		}
		g := &first.Groups[i]
		entry := e.entry(g)
		if entry == "" {
			continue
		}
		k := slices.IndexFunc(crews, func(c *crew) bool { return c.entry == entry })
		if k < 0 {
			k = len(crews)
			crews = append(crews, &crew{entry: entry})
		}
		crews[k].groups = append(crews[k].groups, g)
		crews[k].count += g.Count
	}
	var found []Finding
	for _, c := range crews {
		if c.count >= 4 {
			found = append(found, e.straysOf(c)...)
		}
	}
	return append(found, e.oldRequests()...)
}

func (e *Evidence) entry(g *stack.Group) string {
	for _, f := range slices.Backward(g.Frames) {
		if e.rank(f) == 2 {
			return f.Function
		}
	}
	return ""
}

func (e *Evidence) straysOf(c *crew) []Finding {
	var found []Finding
	for _, g := range c.groups {
		at := e.site(g.Frames)
		if at < 0 || !blocked(g) || slices.ContainsFunc(g.Frames[:at], isClientCall) {
			continue
		}
		still := e.staying(g)
		others := c.count - len(still)
		if len(still) == 0 || len(still) > max(c.count/8, 1) {
			continue
		}
		if moving := e.moving(c, still); e.Final && (2*moving < others || moving < 3) {
			continue
		}
		if e.Final && e.byChance(c, g, still) {
			continue
		}
		f := Finding{
			Title: fmt.Sprintf("%s in %s%s, while the %d others that run %s go on",
				waits(len(still)), g.State, e.still(), others, c.entry),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: 400 + at,
		}
		if g.Creator.Function != "" {
			f.Lines = append(f.Lines, "started at "+place(g.Creator))
		}
		if len(still) == 1 {
			f.Title = fmt.Sprintf("goroutine %d: ", still[0].ID) + f.Title
		}
		found = append(found, f)
	}
	return found
}

// byChance reports whether one of the crew may have been seen at that place at
// every look because all of them are there often: the more often the others were
// seen there, the less it says. What has waited for minutes is not there by chance.
func (e *Evidence) byChance(c *crew, g *stack.Group, still []stack.Goroutine) bool {
	if least, _ := g.Waits(); least >= 2 {
		return false
	}
	there := 0
	for _, look := range e.Looks {
		if same := look.Find(g.Key()); same != nil {
			there += same.Count - len(still)
		}
	}
	p := float64(there) / float64(len(e.Looks)*(c.count-len(still)))
	expected := float64(c.count)
	for range e.Looks {
		expected *= p
	}
	return expected > 0.02
}

func waits(n int) string {
	if n == 1 {
		return "it waits"
	}
	return fmt.Sprintf("%d goroutines wait", n)
}

// staying are the members of a group that are in it at every look, and have not
// waited for a shorter time at a later one.
func (e *Evidence) staying(g *stack.Group) []stack.Goroutine {
	members := slices.Clone(g.Members)
	for _, look := range e.Looks[1:] {
		same := look.Find(g.Key())
		members = slices.DeleteFunc(members, func(m stack.Goroutine) bool { return same == nil || !same.Has(m.ID) })
	}
	return members
}

// moving counts those of a crew that are not among still and go on: they run or
// sleep, are elsewhere at another look, or have just begun to wait where the
// others have waited for minutes.
func (e *Evidence) moving(c *crew, still []stack.Goroutine) int {
	least := still[0].Minutes
	for _, m := range still {
		least = min(least, m.Minutes)
	}
	n := 0
	for _, g := range c.groups {
		stay := e.staying(g)
		for _, m := range g.Members {
			stays := slices.ContainsFunc(stay, func(s stack.Goroutine) bool { return s.ID == m.ID })
			switch {
			case slices.ContainsFunc(still, func(s stack.Goroutine) bool { return s.ID == m.ID }):
			case !blocked(g) && g.State != "IO wait" || !stays || least >= 2 && m.Minutes < least/2:
				n++
			}
		}
	}
	return n
}

// oldRequests finds requests to the program that have waited for minutes.
func (e *Evidence) oldRequests() []Finding {
	var found []Finding
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		at := e.site(g.Frames)
		_, most := g.Waits()
		// Several at one place are subscribers of something.
		if most < 1 || g.Count > 2 || at < 0 || !blocked(g) || g.State == "select" || !contains(g.Frames, "net/http.serverHandler.ServeHTTP") {
			continue
		}
		found = append(found, Finding{
			Title:  fmt.Sprintf("%s of HTTP in %s for up to %s", plural(g.Count, "request"), g.State, plural(most, "minute")),
			Lines:  []string{"at " + place(g.Frames[at])},
			Weight: 450,
		})
	}
	return found
}
