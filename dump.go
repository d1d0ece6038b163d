package oneshot

import (
	"bufio"
	"context"
	"io"
	"regexp"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// DefaultGroups is how many groups a dump shows by default.
const DefaultGroups = dump.DefaultGroups

// DumpForm is how a dump of the goroutines is written.
type DumpForm int

// The forms of a dump.
const (
	// DumpGroups is what stands out, and the goroutines in groups of identical
	// stacks, the largest first.
	DumpGroups = DumpForm(dump.Groups)
	// DumpGo is the text of runtime.Stack, as a panic prints it.
	DumpGo = DumpForm(dump.Go)
	// DumpPprof is the goroutine profile that go tool pprof reads: compressed
	// protocol buffers.
	DumpPprof = DumpForm(dump.Pprof)
)

// DumpOptions select what Dump writes. The zero value is what the console shows.
type DumpOptions struct {
	// Form is how it is written. The other options are for DumpGroups only, except
	// Force.
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

	// Full shows each goroutine of a group: its id, for how many minutes it has
	// waited, and what started it. A dump of up to 500 goroutines has that anyway.
	// A larger program is stopped for it, for a millisecond or more per 1,000
	// goroutines.
	Full bool

	// Force allows Full and DumpGo to stop the program for more than a second.
	Force bool
}

// ErrLongStop is returned by a dump that would stop the program for longer than a
// second, unless DumpOptions.Force is set.
var ErrLongStop = dump.ErrLongStop

// Dump writes what the goroutines of the program are doing, as the command stacks
// of the console does. It does not need Install. It stops a program of more than 500
// goroutines only for moments well below a millisecond, and a smaller one for a
// millisecond or two, up to three times; DumpOptions.Full says what stops it for
// longer. Dump may be called at any time from any goroutine. Its errors are
// ErrLongStop and those of w.
func Dump(w io.Writer, o DumpOptions) error {
	d := dump.Dump{Ctx: context.Background(), Before: vitals.Read()}
	d.Options = dump.Options{
		Form: dump.Form(o.Form), Groups: o.Groups, State: o.State, Match: o.Match, Full: o.Full, Force: o.Force,
	}
	b := bufio.NewWriterSize(w, 16<<10)
	if err := d.Write(b); err != nil {
		return err
	}
	return b.Flush()
}
