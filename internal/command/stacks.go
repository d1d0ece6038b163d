package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/pattern"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// stackCommands are the commands about goroutines.
var stackCommands = []*Command{
	{
		Name: "stacks", Args: "[FLAGS] [REGEXP]", Summary: "show what the goroutines are doing, grouped by identical stacks",
		Help: "Shows what stands out and the largest groups. With REGEXP, it shows only groups that have a function or a\n" +
			"file:line that REGEXP matches. In a program with more than 500 goroutines, they are read one by one while\n" +
			"it runs, with pauses far below a millisecond. A smaller program pauses for a millisecond or two.\n" +
			"The operators of REGEXP are . [...] (...) | * + ? {N,M} ^ $ \\d \\s \\w \\b and (?i), with the meaning that they\n" +
			"have in Go.\n" +
			"  -n N       show the N largest groups; the default is 20, and 0 means all\n" +
			"  -state S   show groups whose state contains S, for example chan, sync.Mutex.Lock or runnable\n" +
			"  -diff      show which groups grew or shrank since the last dump of this session, and who came and left\n" +
			"  -full      show the ids of all goroutines, and the minutes that each has waited\n" +
			"  -frames    show the frames of libraries too, and stacks that differ only in them or in the depth of a recursion\n" +
			"  -paths     show full paths, not relative to the module or to GOROOT\n" +
			"  -go        print the runtime's own text, as a panic does; this stops the program once\n" +
			"  -pprof     write the goroutine profile for go tool pprof; it is binary, so it needs -o\n" +
			"  -o FILE    write to a new file with mode 0600\n" +
			"  -nogc      do not collect garbage to prove which goroutines can never continue\n" +
			"  -force     allow a stop of more than a second\n" +
			"  -json      print one JSON object, which docs/json.md describes",
		Flags: []string{"-n", "-state", "-diff", "-full", "-go", "-pprof", "-force", "-frames", "-paths", "-nogc", "-o", jsonFlag},
		Run:   runStacks, complete: completeStates,
	},
	goroutineCommand,
}

// stacksFlags are the flags of stacks.
type stacksFlags struct {
	dump.Options
	n             int
	diff          bool
	asGo, asPprof bool
	main          bool // show first where the goroutine is that runs main
	file          string
}

func (f *stacksFlags) options() []option {
	return []option{
		{"n", &f.n}, {"state", &f.State}, {"diff", &f.diff}, {"full", &f.Full}, {"go", &f.asGo}, {"pprof", &f.asPprof},
		{"force", &f.Force}, {"frames", &f.Frames}, {"paths", &f.Paths}, {"nogc", &f.NoGC}, {"o", &f.file},
	}
}

func parseStacks(args []string) (f stacksFlags, err error) {
	f.n = dump.DefaultGroups
	rest, err := parseFlags("stacks", args, f.options()...)
	if err != nil {
		return f, err
	}
	if err := f.check(rest); err != nil {
		return f, err
	}
	if len(rest) == 1 {
		match, err := pattern.Compile(rest[0])
		if err != nil {
			return f, fmt.Errorf("stacks: %w", err)
		}
		f.Match = match
	}
	if f.Groups = f.n; f.n == 0 {
		f.Groups = -1
	}
	if f.asGo {
		f.Form = dump.Go
	}
	if f.asPprof {
		f.Form = dump.Pprof
	}
	return f, nil
}

// check returns an error for flags and arguments that cannot be used together.
func (f *stacksFlags) check(rest []string) error {
	selects := len(rest) > 0 || f.State != ""
	switch {
	case f.n < 0:
		return fmt.Errorf("stacks: -n %d: give the number of groups, 0 for all", f.n)
	case len(rest) > 1:
		return fmt.Errorf("stacks: one regular expression at a time, not %q; use a|b for several", rest)
	case f.asGo && f.asPprof:
		return errors.New("stacks: either -go or -pprof")
	case (f.asGo || f.asPprof) && (selects || f.diff || f.Full || f.Frames || f.Paths):
		return errors.New("stacks: -go and -pprof show all goroutines; they take no -state, -diff, -full, -frames, -paths or expression")
	case f.asPprof && f.file == "":
		return errors.New("stacks: a profile is binary; give the name of a new file: stacks -pprof -o FILE")
	case f.diff && f.file != "":
		return errors.New("stacks: -diff and -o cannot be used together")
	}
	return nil
}

func runStacks(ctx context.Context, s Session, args []string) error {
	args, form := CutJSON(args)
	f, err := parseStacks(args)
	switch {
	case err != nil:
		return err
	case form == AsText:
		return showStacks(ctx, s, f)
	}
	if err := f.checkJSON(); err != nil {
		return err
	}
	if f.file != "" {
		return toFile(s, f.file, func(w io.Writer) error { return documentStacks(ctx, s, w, f, form) })
	}
	return documentStacks(ctx, s, s, f, form)
}

// checkJSON returns an error if the flags ask for an answer that has no JSON form.
func (f *stacksFlags) checkJSON() error {
	if f.Form != dump.Groups {
		return noJSON("stacks", "-go and -pprof have forms of their own")
	}
	return nil
}

// showStacks runs the command stacks, and writes the answer as text.
func showStacks(ctx context.Context, s Session, f stacksFlags) error {
	d := newDump(ctx, s, f, vitals.Read())
	switch {
	case f.file != "":
		return toFile(s, f.file, d.Write)
	case d.Form != dump.Groups:
		return d.Write(s)
	}
	a, err := findStacks(ctx, s, f, d.Before)
	if err != nil {
		return err
	}
	return Show(ctx, s, a, AsText)
}

// documentStacks runs the command stacks in the session s, and writes the answer to w as an
// object, which has the vital signs too.
func documentStacks(ctx context.Context, s Session, w io.Writer, f stacksFlags, form Form) error {
	before := vitals.Read()
	now, descriptors := readVitals(ctx, before)
	text := &held{Session: s}
	a, err := findStacks(ctx, text, f, before)
	if err != nil {
		return err
	}
	a.Vitals = vitalsOf(before, now, descriptors)
	return text.show(ctx, w, a, form)
}

func newDump(ctx context.Context, s Session, f stacksFlags, before vitals.Sample) *dump.Dump {
	return &dump.Dump{Options: f.Options, Ctx: ctx, Before: before, Announce: announceStop(s), Hears: s.Hears}
}

// findStacks takes a dump. before is the sample with which "just now" begins.
func findStacks(ctx context.Context, s Session, f stacksFlags, before vitals.Sample) (*StacksAnswer, error) {
	d := newDump(ctx, s, f, before)
	if err := d.Take(); err != nil {
		return nil, err
	}
	kept := d.Taken
	if len(kept.Groups) > dump.ManyGroups {
		kept = nil // it would take too much memory
	}
	previous := s.SwapSnapshot(kept)
	switch {
	case !f.diff:
		previous = nil
	case previous == nil:
		return nil, fmt.Errorf("stacks: nothing to compare with: this session has no earlier dump, or its dump had more than %d groups; run stacks first", dump.ManyGroups)
	}
	a := StacksOf(d, self(), previous)
	a.main = f.main
	return a, nil
}

// announceStop returns a function that announces a stop of the program to the
// client.
func announceStop(s Session) func(stack.Cost) {
	return func(c stack.Cost) {
		fmt.Fprintf(s, "this stops the program for about %v, for %s of stacks\n",
			c.Stop.Round(10*time.Microsecond), vitals.Bytes(uint64(c.Bytes)))
		_ = s.Flush() // the session notices an error: the client has disconnected
	}
}
