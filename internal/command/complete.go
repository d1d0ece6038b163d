package command

import (
	"maps"
	"runtime/metrics"
	"slices"
	"strings"
)

// Candidates returns what the arguments of a command can be, as they are typed: its
// flags, its words, and what it knows of this process. before are the words before the
// one that is completed, with the name of the command, and word is its beginning. The
// result is not sorted, and may contain words that do not begin with word.
func (c *Command) Candidates(s Session, before []string, word string) []string {
	var all []string
	if strings.HasPrefix(word, "-") {
		all = slices.Clone(c.Flags)
	}
	if len(before) == 1 {
		all = append(all, c.Words...)
	}
	if c.complete != nil {
		all = append(all, c.complete(s, before, word)...)
	}
	return all
}

// completeStates returns the states of the last dump, for -state.
func completeStates(s Session, before []string, _ string) (states []string) {
	if before[len(before)-1] != "-state" {
		return nil
	}
	last := s.SwapSnapshot(nil)
	s.SwapSnapshot(last)
	if last == nil {
		return nil
	}
	known := make(map[string]bool)
	for _, g := range last.Groups {
		known[g.State] = true
	}
	for state := range known {
		if strings.Contains(state, " ") {
			state = "'" + state + "'"
		}
		states = append(states, state)
	}
	return states
}

func completeLocals(s Session, _ []string, _ string) []string {
	return slices.Collect(maps.Keys(s.Locals()))
}

func completeMetrics(Session, []string, string) (names []string) {
	for _, d := range metrics.All() {
		names = append(names, d.Name)
	}
	return names
}
