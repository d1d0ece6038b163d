package oneshot

import (
	"bufio"
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

	"github.com/gomanhole/oneshot/internal/ours"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// DefaultGroups is how many groups a dump shows unless it is told.
const DefaultGroups = 20

// DumpForm is how a dump of the goroutines is written.
type DumpForm int

// The forms of a dump.
const (
	// DumpGroups is what stands out, and the goroutines in groups of identical
	// stacks, the largest first.
	DumpGroups DumpForm = iota
	// DumpGo is the text of runtime.Stack, as a panic prints it.
	DumpGo
	// DumpPprof is the goroutine profile that go tool pprof reads: compressed
	// protocol buffers.
	DumpPprof
)

// DumpOptions select what Dump writes. The zero value is what the console shows.
type DumpOptions struct {
	// Form is how it is written. What follows is for DumpGroups, but for Force.
	Form DumpForm

	// Groups is how many groups are shown; 0: DefaultGroups; negative: all.
	Groups int

	// State selects the groups that wait for something with this in its name,
	// such as "chan" or "sync.Mutex.Lock", and with "leaked" those that the
	// garbage collector has proved leaked. Empty: any.
	State string

	// Match selects the groups with a function or file:line that it matches.
	// Nil: any.
	Match *regexp.Regexp

	// Full tells the goroutines of a group apart, with ids, for how many
	// minutes each has waited and what started it. Programs of up to 500
	// goroutines get that anyway; a larger one is stopped for it, for about a
	// millisecond per 1,000 goroutines or more.
	Full bool

	// Force allows Full and DumpGo to stop the program for more than a second.
	Force bool
}

// ErrLongStop is what a dump returns that would have to stop the program for
// longer than a second, and was not told to.
var ErrLongStop = errors.New("oneshot: the dump would stop the program for too long")

const (
	// smallProgram is the number of goroutines up to which looking at every
	// single one stops the program for a millisecond or two.
	smallProgram = 500

	// longStop is what nobody should do to a program without meaning it.
	longStop = time.Second

	// smallRoom is the address space for a trace of a small program; a
	// goroutine's text has at most a hundred frames. Only what is used is memory.
	smallRoom = smallProgram * 128 << 10
)

// Dump writes what the goroutines of the program are doing, as the console's
// stacks does. It does not need Install. It does not stop a program of more
// than 500 goroutines but for moments well below a millisecond, however many
// there are, and a smaller one for a millisecond or two, up to three times; see
// DumpOptions.Full for what does. It may be called at any time
// from any goroutine. Its errors are ErrLongStop and those of w.
func Dump(w io.Writer, o DumpOptions) error {
	d := dump{DumpOptions: o, ctx: context.Background(), before: vitals.Read()}
	b := bufio.NewWriterSize(w, 16<<10)
	if err := d.write(b); err != nil {
		return err
	}
	return b.Flush()
}

// dump is one dump on its way.
type dump struct {
	DumpOptions
	ctx      context.Context  // ends it
	before   vitals.Sample    // from which on what happens is just now
	announce func(stack.Cost) // told before a stop that can be felt; may be nil
	longest  time.Duration    // stop without Force; 0: longStop

	taken *stack.Snapshot
	found []findings.Finding
	stop  time.Duration // the longest stop of a full one
}

// write takes the dump and writes it.
func (d *dump) write(w io.Writer) error {
	switch d.Form {
	case DumpGo:
		return d.writeTrace(w)
	case DumpPprof:
		return pprof.Lookup("goroutine").WriteTo(w, 0)
	}
	if err := d.take(); err != nil {
		return err
	}
	t := &text{ctx: d.ctx, w: w}
	t.stop(d.stop)
	t.findings(d.found)
	t.groups(d.selected(d.taken), d.limit(), d.Full)
	return t.err
}

// take looks at the goroutines, and for what stands out.
func (d *dump) take() (err error) {
	var full *stack.Snapshot
	if d.Full {
		before := vitals.ReadStops()
		t, err := d.trace()
		if err != nil {
			return err
		}
		d.stop = vitals.ReadStops().Longest(before)
		full = t.Group(ours.Is)
		t.Release()
	}
	d.taken, d.found, err = lookAround(d.ctx, d.before)
	if full != nil && err == nil {
		full.AddLabels(d.taken)
		d.taken = full
	}
	return err
}

func (d *dump) limit() int {
	switch {
	case d.Groups == 0:
		return DefaultGroups
	case d.Groups < 0:
		return 1<<31 - 1
	}
	return d.Groups
}

// selected are the groups that were asked for. Total stays that of all.
func (d *dump) selected(s *stack.Snapshot) *stack.Snapshot {
	if d.State == "" && d.Match == nil {
		return s
	}
	selected := *s
	selected.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g stack.Group) bool { return !d.selects(&g) })
	return &selected
}

func (d *dump) selects(g *stack.Group) bool {
	if !strings.Contains(strings.ToLower(g.State+leakedText(g)), strings.ToLower(d.State)) {
		return false
	}
	return d.Match == nil || slices.ContainsFunc(append(g.Frames, g.Creator), func(f stack.Frame) bool {
		return d.Match.MatchString(f.Function) || d.Match.MatchString(fmt.Sprintf("%s:%d", f.File, f.Line))
	})
}

// trace takes a trace of all goroutines, with one stop of the program whose
// length it has estimated before.
func (d *dump) trace() (*stack.Listing, error) {
	if quicklyTraced() {
		return stack.TakeListing(smallRoom)
	}
	s, err := stack.Profile(func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	cost := s.Estimate(vitals.StackBytes())
	if cost.Stop > cmp.Or(d.longest, longStop) && !d.Force {
		return nil, fmt.Errorf("%w: about %v for %d goroutines; -force (DumpOptions.Force) does it all the same",
			ErrLongStop, cost.Stop.Round(100*time.Millisecond), s.Total)
	}
	if d.announce != nil {
		d.announce(cost)
	}
	if d.ctx.Err() != nil {
		return nil, context.Cause(d.ctx)
	}
	return stack.TakeListing(int(min(2*cost.Bytes+1<<20, math.MaxInt32)))
}

// writeTrace writes the runtime's own text.
func (d *dump) writeTrace(w io.Writer) error {
	t, err := d.trace()
	if err != nil {
		return err
	}
	defer t.Release()
	// In pieces, to end soon after ctx has.
	for text := t.Text; len(text) > 0; {
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
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

const packagePath = "github.com/gomanhole/oneshot"
