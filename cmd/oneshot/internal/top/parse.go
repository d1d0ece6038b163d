//go:build linux

// Package top is the screen of oneshot top: what it shows, and how that is drawn. Its
// input is the text of the commands metrics and stacks, of which everything may be
// hostile, and the vital signs from /proc. It does not know how they were had, and writes
// to no terminal.
package top

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// Group is a group of goroutines with the same stack.
type Group struct {
	Count int
	State string // what they wait for
	Where string // the function of the program and its place
}

// Stacks are what the command stacks says.
type Stacks struct {
	Findings []string // the titles of what stands out
	Heading  string   // how many goroutines there are, in how many groups
	Groups   []Group
	More     bool // there are smaller groups, which are not in Groups
}

// Bounds of what is kept of a text.
const (
	maxGroups   = 200
	maxFindings = 5
	maxField    = 300 // bytes
)

var (
	// groupHeader is the first line of a group: 24990 (99%) chan send, 0 to 24 minutes
	groupHeader = regexp.MustCompile(`^(\d+)(?: \(\d+%\))? ([^,{]+)`)
	// finding is the first line of a finding: 1. 60 goroutines queue for a lock
	finding = regexp.MustCompile(`^\d\. (.+)$`)
)

// ParseStacks parses the answer of the command stacks.
func ParseStacks(text string) (s Stacks) {
	inFindings := false
	var group *Group
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == protocol.FindingsHeading:
			inFindings = true
		case strings.HasSuffix(line, ":") && strings.Contains(line, " by identical stacks"):
			inFindings, s.Heading = false, clip(strings.TrimSuffix(line, ":"))
		case inFindings:
			if m := finding.FindStringSubmatch(line); m != nil && len(s.Findings) < maxFindings {
				s.Findings = append(s.Findings, clip(m[1]))
			}
		case strings.HasPrefix(line, "    "):
			if group != nil {
				group.place(strings.TrimLeft(line, " "))
			}
		default:
			group = nil
			m := groupHeader.FindStringSubmatch(line)
			if m == nil || s.Heading == "" {
				continue
			}
			if strings.Contains(line, " more with ") || len(s.Groups) == maxGroups {
				s.More = true
				continue
			}
			n, err := strconv.Atoi(m[1])
			if err != nil {
				continue
			}
			s.Groups = append(s.Groups, Group{Count: n, State: clip(strings.TrimSpace(m[2]))})
			group = &s.Groups[len(s.Groups)-1]
		}
	}
	return s
}

// place takes a line below the header of a group. The place is the first function of
// package main, or else the first function.
func (g *Group) place(line string) {
	switch {
	case strings.HasPrefix(line, "goroutine"), strings.HasPrefix(line, "created by"), strings.HasPrefix(line, "..."):
	case g.Where == "", strings.HasPrefix(line, "main.") && !strings.HasPrefix(g.Where, "main."):
		g.Where = clip(strings.Join(strings.Fields(line), " "))
	}
}

// clip shortens a text that may have any length.
func clip(s string) string { return s[:min(len(s), maxField)] }

// ParseMetrics parses the answer of the command metrics: the values as they are shown, by
// name.
func ParseMetrics(text string) map[string]string {
	const maxMetrics = 1000
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if ok && strings.HasPrefix(name, "/") && len(values) < maxMetrics {
			values[clip(name)] = clip(strings.TrimLeft(value, " "))
		}
	}
	return values
}
