package command

import (
	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/stack"
)

// StacksAnswer is the answer of stacks, and the part of the first screen after the vital
// signs.
type StacksAnswer struct {
	document.Stacks
	dump            *dump.Dump
	shown, previous *stack.Snapshot // previous is for -diff
	brief           bool            // as on the first screen
	main            bool            // show first where the goroutine is that runs main
}

// StacksOf returns the answer for a dump that was taken. previous is a snapshot to compare
// it with, or nil.
func StacksOf(d *dump.Dump, p document.Process, previous *stack.Snapshot) *StacksAnswer {
	a := &StacksAnswer{dump: d, shown: d.Selected(d.Taken)}
	a.Stacks = document.Stacks{Head: document.Of("stacks"), Process: p, Stop: d.Stop.Seconds()}
	limit := d.Limit()
	if previous != nil {
		a.previous = d.Selected(previous)
		a.Changes = d.Changes(a.previous, a.shown, limit)
		limit = 0
	}
	a.Goroutines = d.Document(d.Found, a.shown, limit, d.Full)
	return a
}

// AsScreen makes it the answer of screen.
func (a *StacksAnswer) AsScreen(v *document.Vitals) {
	a.Head, a.Vitals, a.brief = document.Of("screen"), v, true
	a.Goroutines = a.dump.Document(a.dump.Found, a.shown, dump.ScreenGroups, false)
}

// Text implements Answer.
func (a *StacksAnswer) Text(out *dump.Writer) {
	t := a.dump.Writer(out.W)
	defer func() { out.Err = t.Err }()
	if a.brief {
		t.Screen(a.dump.Found, a.shown)
		return
	}
	t.Stop(a.dump.Stop)
	if a.main {
		t.Main(a.dump.Taken)
	}
	if a.Searched {
		t.Findings(a.dump.Found)
	}
	if a.previous != nil {
		t.Changes(a.previous, a.shown, a.dump.Limit())
	} else {
		t.Groups(a.shown, a.dump.Limit(), a.dump.Full)
	}
}
