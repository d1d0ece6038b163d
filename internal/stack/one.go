package stack

import "fmt"

// Goroutine returns the text of one goroutine, in the form of a listing. It has no
// arguments. It is "" if the snapshot has no such goroutine.
func (s *Snapshot) Goroutine(id uint64) string {
	for i := range s.Groups {
		g := &s.Groups[i]
		if at, ok := g.find(id); ok {
			return g.text(&g.Members[at])
		}
	}
	return ""
}

func (g *Group) text(m *Goroutine) string {
	text := fmt.Sprintf("goroutine %d [%s", m.ID, g.State)
	if m.Leaked {
		text += " (leaked)"
	}
	if m.Minutes > 0 {
		text += fmt.Sprintf(", %d minutes", m.Minutes)
	}
	if m.Locked {
		text += ", locked to thread"
	}
	text += "]"
	if len(g.Labels) == 1 && g.Labels[0].Count == g.Count { // then they are its labels
		text += " " + g.Labels[0].Labels
	}
	text += ":\n"
	for _, f := range g.Frames {
		text += fmt.Sprintf("%s(...)\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	if g.Deeper {
		text += "...more frames, which were not read\n"
	}
	if c := g.Creator; c.Function != "" {
		text += "created by " + c.Function
		if m.Parent != 0 {
			text += fmt.Sprintf(" in goroutine %d", m.Parent)
		}
		text += fmt.Sprintf("\n\t%s:%d\n", c.File, c.Line)
	}
	return text
}
