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
	"runtime/debug"
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
	Match  Matcher
	Full   bool
	Force  bool
	Frames bool
	Paths  bool
	NoGC   bool // collect no garbage to prove a leak
}

// Matcher is a regular expression, usually of package pattern or regexp.
type Matcher interface{ MatchString(string) bool }

// ErrLongStop is the error of a dump that would stop the program for longer than a
// second. With Options.Force the dump is taken all the same.
var ErrLongStop = errors.New("oneshot: the dump would stop the program for too long")

const (
	// smallProgram is a number of goroutines. Looking at up to that many
	// goroutines one by one stops the program for only a millisecond or two.
	smallProgram = 500

	// longStop is how long a dump may stop the program if it is not forced.
	longStop = time.Second

	// smallRoom is the size of the buffer for a listing of a small program. The
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
	// Hears reports whether a signal may wake a goroutine of the program. Nil: the
	// program itself takes the dump, so one of its goroutines runs.
	Hears func() bool

	Build *debug.BuildInfo // of the program; nil: of this process

	view *view

	Taken *stack.Snapshot
	Found []findings.Finding
	Stop  time.Duration // the longest stop of a full dump
}

// Write takes the dump and writes it.
func (d *Dump) Write(w io.Writer) error {
	switch d.Form {
	case Go:
		return d.writeListing(w)
	case Pprof:
		return pprof.Lookup("goroutine").WriteTo(w, 0)
	}
	if err := d.Take(); err != nil {
		return err
	}
	t := d.Writer(w)
	t.Stop(d.Stop)
	if !d.part() {
		t.Findings(d.Found)
	}
	t.Groups(d.Selected(d.Taken), d.Limit(), d.Full)
	return t.Err
}

// Take takes the snapshot and makes the findings. It sets Taken and Found. A dump of
// selected goroutines has no findings. If each goroutine is to be shown, but cannot be
// read in any other way, Take takes a listing, and sets Stop.
func (d *Dump) Take() (err error) {
	d.Taken, d.Found, err = lookAround(d.Ctx, d.Before, d.Hears, !d.NoGC)
	if d.part() {
		d.Found = nil // they are about the whole program, and the person asks for a part of it
	}
	if err != nil || !d.Full || d.Taken.HasMembers {
		return err
	}
	before := vitals.ReadStops()
	t, err := d.Listing()
	if err != nil {
		return err
	}
	defer t.Release()
	d.Stop = vitals.ReadStops().Longest(before)
	full := t.Group(ours.Is)
	full.AddLabels(d.Taken)
	d.Taken = full
	return nil
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

// Writer returns a writer that shows stacks as the options say.
func (d *Dump) Writer(w io.Writer) *Writer {
	return &Writer{Ctx: d.Ctx, W: w, view: d.look()}
}

func (d *Dump) look() *view {
	if d.view == nil {
		d.view = newView(d.Build, &d.Options)
	}
	return d.view
}

// part reports whether the options select a part of the goroutines.
func (d *Dump) part() bool { return d.State != "" || d.Match != nil }

// Selected returns the snapshot with only the groups that the options select. Total
// still counts all goroutines. Unless Frames is set, or the groups are very many, those
// that would look almost the same are put together.
func (d *Dump) Selected(s *stack.Snapshot) *stack.Snapshot {
	if d.part() {
		selected := *s
		selected.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g stack.Group) bool { return !d.selects(&g) })
		s = &selected
	}
	if d.Frames || len(s.Groups) > ManyGroups { // comparing so many takes too long
		return s
	}
	return s.Merge(d.look().telling)
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
	if listingIsQuick() {
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

// Goroutine returns the text of one goroutine, or "" if there is none with this id. In
// a program that is not small, it is read while the program runs. Where that is not
// possible, it comes from a listing.
func (d *Dump) Goroutine(id uint64) (string, error) {
	if !listingIsQuick() {
		if s, err := stack.Read(func(string) bool { return false }); err == nil {
			return s.Goroutine(id), nil
		}
	}
	t, err := d.Listing()
	if err != nil {
		return "", err
	}
	defer t.Release()
	return string(t.Goroutine(id)), nil
}

// writeListing writes the text of runtime.Stack.
func (d *Dump) writeListing(w io.Writer) error {
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
		_, err = io.WriteString(w, "\n(cut off: the text is longer than estimated)\n")
	}
	return err
}
