package oneshot

import (
	"bufio"
	"context"
	"io"
	"reflect"

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
	// DumpGo is the text of runtime.Stack, as a panic prints it. The program is stopped
	// for it, for a millisecond or more per 1,000 goroutines.
	DumpGo = DumpForm(dump.Go)
	// DumpPprof is the goroutine profile that go tool pprof reads: compressed
	// protocol buffers.
	DumpPprof = DumpForm(dump.Pprof)
)

// DumpOptions select what Dump writes. The zero value is what the command stacks shows.
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

	// Match selects the groups with a function or file:line that it matches. It
	// can be a *regexp.Regexp. Nil: any.
	Match interface{ MatchString(string) bool }

	// Full shows the ids of all goroutines of a group, and for how many minutes each
	// has waited. Where the goroutines of a large program cannot be read one by one
	// (the dump says so), the program is stopped for it, for a millisecond or more per
	// 1,000 goroutines.
	Full bool

	// Frames shows the frames of libraries inside the program's own code too. Without
	// it, groups that differ only in such frames or in the depth of a recursion are one.
	Frames bool

	// Paths shows the full paths of source files. Without it, they are relative to the
	// program's module, to GOROOT/src or to the module cache.
	Paths bool

	// Force allows Full and DumpGo to stop the program for more than a second.
	Force bool
}

// ErrLongStop is returned by a dump that would stop the program for longer than a
// second, unless DumpOptions.Force is set.
var ErrLongStop = dump.ErrLongStop

// Dump writes what the goroutines of the program are doing, as the command stacks
// of the console does. It does not need Install. It stops a program of more than 500
// goroutines only for moments well below a millisecond, if at all, and a smaller one
// for a millisecond or two, up to three times; DumpOptions.Full and DumpGo say what
// stops it for longer. Dump may be called at any time from any goroutine. Its errors are
// ErrLongStop and those of w.
func Dump(w io.Writer, o DumpOptions) error {
	d := dump.Dump{Ctx: context.Background(), Before: vitals.Read()}
	d.Options = dump.Options{
		Form: dump.Form(o.Form), Groups: o.Groups, State: o.State, Match: o.Match, Full: o.Full, Force: o.Force,
		Frames: o.Frames, Paths: o.Paths,
	}
	if v := reflect.ValueOf(o.Match); v.Kind() == reflect.Pointer && v.IsNil() {
		d.Match = nil // a nil *regexp.Regexp
	}
	b := bufio.NewWriterSize(w, 16<<10)
	if err := d.Write(b); err != nil {
		return err
	}
	return b.Flush()
}
