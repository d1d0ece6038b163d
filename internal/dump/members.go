package dump

import (
	"fmt"

	"github.com/gomanhole/oneshot/internal/stack"
)

// maxIDs is how many ids a group shows, unless the user asks for all.
const maxIDs = 8

// idsWidth is the width of the lines with the ids, in characters. With all ids, a
// group of a large program would otherwise have a line that no terminal can show.
const idsWidth = 100

// members writes the ids of the goroutines in a group. All ids are many; then those
// that follow each other are a range: 18-2040.
func (t *Writer) members(g *stack.Group, all bool) {
	if len(g.Members) == 0 {
		return
	}
	shown := g.Members
	if !all {
		shown = shown[:min(len(shown), maxIDs)]
	}
	line := "    goroutines"
	if len(g.Members) == 1 {
		line = "    goroutine"
	}
	mark := marker(g, all)
	for i := 0; i < len(shown); {
		first, remark := shown[i], mark(shown[i])
		last := first.ID
		for i++; all && i < len(shown) && shown[i].ID == last+1 && mark(shown[i]) == remark; i++ {
			last++
		}
		item := fmt.Sprintf(" %d%s", first.ID, remark)
		switch last - first.ID {
		case 0:
		case 1:
			item = fmt.Sprintf(" %d%s %d%s", first.ID, remark, last, remark)
		default:
			item = fmt.Sprintf(" %d-%d%s", first.ID, last, remark)
		}
		if len(line)+len(item) > idsWidth {
			if t.Ended() {
				return
			}
			t.Printf("%s\n", line)
			line = "      "
		}
		line += item
	}
	if n := len(g.Members) - len(shown); n > 0 {
		line += fmt.Sprintf(" and %d more", n)
	}
	t.Printf("%s\n", line)
}

// marker returns a function that returns what is said about one goroutine of a group,
// beside its id. It is not said here if it holds for the whole group.
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
