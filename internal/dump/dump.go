// Package dump looks at all goroutines of the program and writes for people what
// they are doing. It does not depend on sessions.
package dump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// DefaultGroups is how many groups a dump shows by default.
const DefaultGroups = 20

// Form is the format of a dump.
type Form int

// The forms of a dump.
const (
	Groups Form = iota // the findings, and groups of identical stacks
	Go                 // the text of runtime.Stack
	Pprof              // the goroutine profile for go tool pprof
)

// Options select what a dump contains. The exported oneshot.DumpOptions explains
// the fields.
type Options struct {
	Form   Form
	Groups int
	State  string
	Match  *regexp.Regexp
	Full   bool
	Force  bool
}

// ErrLongStop is the error of a dump that would stop the program for longer than a
// second. With Options.Force the dump is taken all the same.
var ErrLongStop = errors.New("oneshot: the dump would stop the program for too long")

const (
	// smallProgram is a number of goroutines. Looking at up to that many
	// goroutines one by one stops the program for only a millisecond or two.
	smallProgram = 500

	// longStop is how long a dump may stop the program if it is not forced.
	longStop = time.Second

	// smallRoom is the size of the buffer for a trace of a small program. The
	// text of a goroutine has at most a hundred frames. The buffer takes only
	// address space: memory is used only for the part that is written to.
	smallRoom = smallProgram * 128 << 10
)

// Dump is one dump: its parameters and, once it is taken, its result.
type Dump struct {
	Options
	Ctx      context.Context  // its end ends the dump
	Before   vitals.Sample    // the vital signs at the beginning of the observed time
	Announce func(stack.Cost) // called before a long stop; may be nil
	Longest  time.Duration    // longest stop without Force; 0: longStop

	Taken *stack.Snapshot
	Found []findings.Finding
	Stop  time.Duration // the longest stop of a full dump
}

// Write takes the dump and writes it.
func (d *Dump) Write(w io.Writer) error {
	switch d.Form {
	case Go:
		return d.writeTrace(w)
	case Pprof:
		return pprof.Lookup("goroutine").WriteTo(w, 0)
	}
	if err := d.Take(); err != nil {
		return err
	}
	t := &Writer{Ctx: d.Ctx, W: w}
	t.Stop(d.Stop)
	t.Findings(d.Found)
	t.Groups(d.Selected(d.Taken), d.Limit(), d.Full)
	return t.Err
}

// Take takes the snapshot and makes the findings. It sets Taken, Found and Stop. A
// dump of selected goroutines has no findings.
func (d *Dump) Take() (err error) {
	var full *stack.Snapshot
	if d.Full {
		before := vitals.ReadStops()
		t, err := d.Listing()
		if err != nil {
			return err
		}
		d.Stop = vitals.ReadStops().Longest(before)
		full = t.Group(ours.Is)
		t.Release()
	}
	d.Taken, d.Found, err = lookAround(d.Ctx, d.Before)
	if d.State != "" || d.Match != nil {
		d.Found = nil // they are about the whole program, and the person asks for a part of it
	}
	if full != nil && err == nil {
		full.AddLabels(d.Taken)
		d.Taken = full
	}
	return err
}

// Limit returns how many groups to show: DefaultGroups if Groups is 0, and all if
// it is negative.
func (d *Dump) Limit() int {
	switch {
	case d.Groups == 0:
		return DefaultGroups
	case d.Groups < 0:
		return 1<<31 - 1
	}
	return d.Groups
}

// Selected returns the snapshot with only the groups that the options select. Total
// still counts all goroutines.
func (d *Dump) Selected(s *stack.Snapshot) *stack.Snapshot {
	if d.State == "" && d.Match == nil {
		return s
	}
	selected := *s
	selected.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g stack.Group) bool { return !d.selects(&g) })
	return &selected
}

func (d *Dump) selects(g *stack.Group) bool {
	if !strings.Contains(strings.ToLower(g.State+leakedText(g)), strings.ToLower(d.State)) {
		return false
	}
	return d.Match == nil || slices.ContainsFunc(append(g.Frames, g.Creator), func(f stack.Frame) bool {
		return d.Match.MatchString(f.Function) || d.Match.MatchString(fmt.Sprintf("%s:%d", f.File, f.Line))
	})
}

// Listing takes a listing of all goroutines. It stops the program once. Unless the
// program is small, it first estimates for how long: it returns ErrLongStop if that
// is too long and Force is not set, and calls Announce otherwise.
func (d *Dump) Listing() (*stack.Listing, error) {
	if quicklyTraced() {
		return stack.TakeListing(smallRoom)
	}
	s, err := stack.Profile(func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	cost := s.Estimate(vitals.StackBytes())
	if cost.Stop > cmp.Or(d.Longest, longStop) && !d.Force {
		return nil, fmt.Errorf("%w: about %v for %d goroutines; -force (DumpOptions.Force) allows it",
			ErrLongStop, cost.Stop.Round(100*time.Millisecond), s.Total)
	}
	if d.Announce != nil {
		d.Announce(cost)
	}
	if d.Ctx.Err() != nil {
		return nil, context.Cause(d.Ctx)
	}
	return stack.TakeListing(int(min(2*cost.Bytes+1<<20, math.MaxInt32)))
}

// writeTrace writes the text of runtime.Stack.
func (d *Dump) writeTrace(w io.Writer) error {
	t, err := d.Listing()
	if err != nil {
		return err
	}
	defer t.Release()
	// Write in pieces, so that it ends soon after ctx ends.
	for text := t.Text; len(text) > 0; {
		if d.Ctx.Err() != nil {
			return context.Cause(d.Ctx)
		}
		n := min(len(text), 64<<10)
		if _, err := w.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	if t.Cut {
		_, err = io.WriteString(w, "\n(cut off: there was more than had been estimated)\n")
	}
	return err
}
