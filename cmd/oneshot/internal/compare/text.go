package compare

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// maxLines is how many places and differences are shown.
const maxLines = 20

// Text writes the result for people.
func (r *Replicas) Text(t *dump.Writer) {
	t.Printf("%s are compared: %s\n", plaintext.Plural(len(r.Dumps), "dump"), strings.Join(r.Dumps, ", "))
	if !r.SameBuild {
		t.Printf("they are of different builds, so places are compared by function, and not by line\n")
	}
	if len(r.Odd) == 0 {
		t.Printf("\nNothing stands out: they differ by no more than chance.\n")
		return
	}
	few, rest := r.first()
	if len(few) > 1 {
		names := few[0].Name
		for _, odd := range few[1:] {
			names += ", " + odd.Name
		}
		t.Printf("\n%d of %d differ from the others: %s\n", len(few), len(r.Dumps), names)
	}
	for i, odd := range slices.Concat(few, rest) {
		switch {
		case len(r.Dumps) == 2:
			t.Printf("\n%s (%s) has more of this:\n", odd.Name, processText(odd))
		case i >= len(few):
			t.Printf("\nless different: %s (%s):\n", odd.Name, processText(odd))
		case len(few) == 1:
			t.Printf("\nThe odd one out is %s (%s):\n", odd.Name, processText(odd))
		default:
			t.Printf("\n%s (%s):\n", odd.Name, processText(odd))
		}
		for _, d := range odd.Differences[:min(len(odd.Differences), maxLines)] {
			t.Printf("  %s\n", d.Text)
		}
		if more := len(odd.Differences) - maxLines; more > 0 {
			t.Printf("  and %s: -json has all\n", plaintext.Plural(more, "more difference"))
		}
	}
}

// first returns the dump that differs most, with those that share a difference with it, and
// the rest.
func (r *Replicas) first() (few, rest []Odd) {
	for i, odd := range r.Odd {
		if i == 0 || odd.shares(r.Odd[0]) || r.Odd[0].shares(odd) {
			few = append(few, odd)
		} else {
			rest = append(rest, odd)
		}
	}
	return few, rest
}

// shares reports whether one of the differences is also one of the other dump.
func (o Odd) shares(other Odd) bool {
	return slices.ContainsFunc(o.Differences, func(d Difference) bool { return slices.Contains(d.With, other.Name) })
}

func processText(o Odd) string {
	text := fmt.Sprintf("%s, pid %d", o.Process.Name, o.Process.PID)
	if o.Process.Host != "" {
		text += " on " + o.Process.Host
	}
	return text
}

// Text writes the result for people.
func (g *Growth) Text(t *dump.Writer) {
	t.Printf("%s of one process, %s, pid %d, from %s to %s, %v apart\n", plaintext.Plural(len(g.Dumps), "dump"), g.Process.Name, g.Process.PID,
		g.Dumps[0], g.Dumps[len(g.Dumps)-1], plaintext.Duration(duration(g.Seconds)))
	for _, part := range []struct {
		title string
		lines []string
	}{{"new findings", g.NewFindings}, {"findings that are gone", g.Gone}} {
		if len(part.lines) > 0 {
			t.Printf("\n%s:\n  %s\n", part.title, strings.Join(part.lines, "\n  "))
		}
	}
	if len(g.Places) == 0 {
		t.Printf("\nno place has more or fewer goroutines\n")
	} else {
		t.Printf("\ngoroutines by place, the largest growth first:\n")
	}
	for _, c := range g.Places[:min(len(g.Places), maxLines)] {
		t.Printf("%+7.0f  (%s) %s  %s\n", c.growth(), c.values(), c.State, c.Name)
	}
	if more := len(g.Places) - maxLines; more > 0 {
		t.Printf("and %s: -json has all\n", plaintext.Plural(more, "more place"))
	}
	if len(g.Vitals) > 0 {
		t.Printf("\nvital signs:\n")
	}
	for _, c := range g.Vitals {
		t.Printf("  %-34s %s\n", c.Name, c.values())
	}
}

// values returns the values in the order of time.
func (c *Course) values() string {
	var texts []string
	for _, v := range c.Values {
		texts = append(texts, c.text(v))
	}
	return strings.Join(texts, " -> ")
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
