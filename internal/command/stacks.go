package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// stackCommands are the commands about goroutines.
var stackCommands = []*Command{
	{
		Name: "stacks", Args: "[FLAGS] [REGEXP]", Summary: "show what the goroutines are doing, grouped by identical stacks",
		Help: "Shows what stands out and the largest groups, or the groups of those goroutines with a function or\n" +
			"file:line that REGEXP matches. The program is not stopped for it: the goroutine profile needs pauses far\n" +
			"below a millisecond. Up to 500 goroutines are looked at one by one, which stops it for a millisecond or two.\n" +
			"  -n N       the N largest groups; 20 unless told, 0 for all\n" +
			"  -state S   those that wait for S, such as chan or sync.Mutex.Lock; runnable is what runs or could\n" +
			"  -diff      what grew and shrank since this session's dump before, largest growth first\n" +
			"  -full      ids, minutes waited and what started them in large programs too; stops the program once\n" +
			"  -go        the runtime's own text, as a panic has it; stops the program once\n" +
			"  -pprof     the goroutine profile for go tool pprof; it is binary, so with -o\n" +
			"  -o FILE    into a new file of mode 0600\n" +
			"  -force     even if the program is stopped for more than a second",
		Flags: flagNames(new(stacksFlags).define),
		Run:   runStacks,
	},
	{
		Name: "goroutine", Args: "[-force] ID", Summary: "show one goroutine, by its id",
		Help: "Ids stand in the groups of small programs and in stacks -full. Finding one stops the program as long as\n" +
			"stacks -go does, and wants -force where that is over a second.",
		Flags: flagNames(forceFlag(new(bool))),
		Run:   runGoroutine,
	},
}

// stacksFlags are the flags of stacks.
type stacksFlags struct {
	dump.Options
	n             int
	diff          bool
	asGo, asPprof bool
	file          string
}

func (f *stacksFlags) define(flags *flag.FlagSet) {
	flags.IntVar(&f.n, "n", dump.DefaultGroups, "")
	flags.StringVar(&f.State, "state", "", "")
	flags.BoolVar(&f.diff, "diff", false, "")
	flags.BoolVar(&f.Full, "full", false, "")
	flags.BoolVar(&f.asGo, "go", false, "")
	flags.BoolVar(&f.asPprof, "pprof", false, "")
	flags.BoolVar(&f.Force, "force", false, "")
	flags.StringVar(&f.file, "o", "", "")
}

func parseStacks(args []string) (f stacksFlags, err error) {
	rest, err := parseFlags("stacks", args, f.define)
	if err != nil {
		return f, err
	}
	selects := len(rest) > 0 || f.State != ""
	switch {
	case f.n < 0:
		return f, fmt.Errorf("stacks: -n %d: give the number of groups, 0 for all", f.n)
	case len(rest) > 1:
		return f, fmt.Errorf("stacks: one regular expression at a time, not %q; use a|b for several", rest)
	case f.asGo && f.asPprof:
		return f, errors.New("stacks: either -go or -pprof")
	case (f.asGo || f.asPprof) && (selects || f.diff || f.Full):
		return f, errors.New("stacks: -go and -pprof show all goroutines; they take no -state, -diff, -full or expression")
	case f.asPprof && f.file == "":
		return f, errors.New("stacks: a profile is binary; name a file that is not there yet: stacks -pprof -o FILE")
	case f.diff && f.file != "":
		return f, errors.New("stacks: -diff is shown here; it takes no -o")
	}
	if len(rest) == 1 {
		if f.Match, err = regexp.Compile(rest[0]); err != nil {
			return f, fmt.Errorf("stacks: %w", err)
		}
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

func runStacks(ctx context.Context, s Session, args []string) error {
	f, err := parseStacks(args)
	if err != nil {
		return err
	}
	return showStacks(ctx, s, f, vitals.Read())
}

// showStacks runs the command stacks. before is the sample with which "just now"
// begins.
func showStacks(ctx context.Context, s Session, f stacksFlags, before vitals.Sample) error {
	d := &dump.Dump{Options: f.Options, Ctx: ctx, Before: before, Announce: announceStop(s)}
	if f.file != "" {
		return toFile(s, f.file, d.Write)
	}
	if d.Form != dump.Groups {
		return d.Write(s)
	}
	if err := d.Take(); err != nil {
		return err
	}
	kept := d.Taken
	if len(kept.Groups) > dump.ManyGroups {
		kept = nil // it would take too much memory
	}
	previous := s.SwapSnapshot(kept)
	t := &dump.Writer{Ctx: ctx, W: s}
	t.Stop(d.Stop)
	t.Findings(d.Found)
	switch {
	case !f.diff:
		t.Groups(d.Selected(d.Taken), d.Limit(), d.Full)
	case previous == nil:
		return fmt.Errorf("stacks: there is no dump before this one to compare with, or one of more than %d groups", dump.ManyGroups)
	default:
		t.Changes(d.Selected(previous), d.Selected(d.Taken), d.Limit())
	}
	return t.Err
}

// announceStop returns a function that announces a stop of the program to the
// client.
func announceStop(s Session) func(stack.Cost) {
	return func(c stack.Cost) {
		fmt.Fprintf(s, "this stops the program for about %v, for %s of stacks\n",
			c.Stop.Round(10*time.Microsecond), vitals.Bytes(uint64(c.Bytes)))
		_ = s.Flush() // so the session notices a client that has disconnected
	}
}

func forceFlag(force *bool) func(*flag.FlagSet) {
	return func(flags *flag.FlagSet) { flags.BoolVar(force, "force", false, "") }
}

func runGoroutine(ctx context.Context, s Session, args []string) error {
	d := &dump.Dump{Ctx: ctx, Announce: announceStop(s)}
	rest, err := parseFlags("goroutine", args, forceFlag(&d.Force))
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("goroutine: name one goroutine by its id: goroutine 18")
	}
	id, err := strconv.ParseUint(rest[0], 10, 64)
	if err != nil {
		return fmt.Errorf("goroutine: %q is not an id; stacks shows them, of large programs stacks -full", plaintext.Clip(rest[0], 40))
	}
	t, err := d.Listing()
	if err != nil {
		return err
	}
	defer t.Release()
	one := t.Goroutine(id)
	if one == nil {
		return fmt.Errorf("goroutine: there is no goroutine %d; it has ended, or never was", id)
	}
	_, err = fmt.Fprintf(s, "%s\n", strings.TrimSpace(string(one)))
	return err
}
