package dump

import (
	"fmt"

	"github.com/gomanhole/oneshot/internal/stack"
)

// maxIDs is how many ids a group shows, unless the user asks for all.
const maxIDs = 8

// idsWidth is the width of the lines with the ids, in characters. No line has more than
// maxIDs ids or ranges. With all ids, a group of a large program would otherwise have a
// line that no terminal can show.
const idsWidth = 80

// members writes the ids of the goroutines in a group.
func (t *Writer) members(g *stack.Group, all bool) {
	t.ids("goroutine", g.Members, all, marker(g, all))
}

// ids writes the ids of goroutines after a noun, each with its mark. All ids are many;
// then those that follow each other are a range: 18-2040.
func (t *Writer) ids(noun string, members []stack.Goroutine, all bool, mark func(stack.Goroutine) string) {
	if len(members) == 0 {
		return
	}
	shown := members
	if !all {
		shown = shown[:min(len(shown), maxIDs)]
	}
	line := "    " + noun
	if len(members) > 1 {
		line += "s"
	}
	items := 0 // ids in the line
	add := func(item string, n int) {
		if items += n; items > maxIDs || len(line)+len(item) > idsWidth {
			t.Printf("%s\n", line)
			line, items = "      ", n
		}
		line += item
	}
	for i := 0; i < len(shown) && !t.Ended(); {
		first, remark := shown[i], mark(shown[i])
		last := first.ID
		for i++; all && i < len(shown) && shown[i].ID == last+1 && mark(shown[i]) == remark; i++ {
			last++
		}
		if last > first.ID+1 {
			add(fmt.Sprintf(" %d-%d%s", first.ID, last, remark), 2)
			continue
		}
		for id := first.ID; id <= last; id++ {
			add(fmt.Sprintf(" %d%s", id, remark), 1)
		}
	}
	if n := len(members) - len(shown); n > 0 {
		add(fmt.Sprintf(" and %d more", n), 0)
	}
	t.Printf("%s\n", line)
}

// marker returns a function that returns the remarks to write after the id of a
// goroutine. It leaves out the remarks that apply to the whole group.
func marker(g *stack.Group, all bool) func(stack.Goroutine) string {
	leaked := g.Leaked()
	least, most := g.Waits()
	return func(m stack.Goroutine) (text string) {
		if all && least != most && m.Minutes > 0 {
			text += fmt.Sprintf(" (%d min)", m.Minutes)
		}
		if m.Locked {
			text += " (locked to its thread)"
		}
		if m.Leaked && leaked < g.Count {
			text += " (leaked)"
		}
		return text
	}
}
