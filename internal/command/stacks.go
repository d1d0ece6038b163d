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
		Help: "Shows what stands out and the largest groups. With REGEXP, it shows only groups that have a function or a\n" +
			"file:line that REGEXP matches. In a program with more than 500 goroutines, the pauses are far below a\n" +
			"millisecond. In a smaller program, all goroutines are read one by one: a pause of a millisecond or two.\n" +
			"  -n N       show the N largest groups; the default is 20, and 0 means all\n" +
			"  -state S   show groups whose state contains S, for example chan, sync.Mutex.Lock or runnable\n" +
			"  -diff      show which groups grew or shrank since the last dump of this session\n" +
			"  -full      show ids, minutes waited and creators in large programs too; this stops the program once\n" +
			"  -go        print the runtime's own text, as a panic does; this stops the program once\n" +
			"  -pprof     write the goroutine profile for go tool pprof; it is binary, so it needs -o\n" +
			"  -o FILE    write to a new file with mode 0600\n" +
			"  -force     allow a stop of more than a second",
		Flags: flagNames(new(stacksFlags).define),
		Run:   runStacks,
	},
	{
		Name: "goroutine", Args: "[-force] ID", Summary: "show one goroutine, by its id",
		Help: "stacks shows the ids in small programs, and stacks -full in large ones. The command stops the program for as\n" +
			"long as stacks -go does. If that is more than a second, it needs -force.",
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
		return f, errors.New("stacks: a profile is binary; give the name of a new file: stacks -pprof -o FILE")
	case f.diff && f.file != "":
		return f, errors.New("stacks: -diff and -o cannot be used together")
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
		return fmt.Errorf("stacks: nothing to compare with: this session has no earlier dump, or its dump had more than %d groups; run stacks first", dump.ManyGroups)
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
		return errors.New("goroutine: give the id of one goroutine: goroutine 18")
	}
	id, err := strconv.ParseUint(rest[0], 10, 64)
	if err != nil {
		return fmt.Errorf("goroutine: %q is not an id; stacks shows the ids, in large programs stacks -full", plaintext.Clip(rest[0], 40))
	}
	t, err := d.Listing()
	if err != nil {
		return err
	}
	defer t.Release()
	one := t.Goroutine(id)
	if one == nil {
		return fmt.Errorf("goroutine: there is no goroutine %d now; it may have ended", id)
	}
	_, err = fmt.Fprintf(s, "%s\n", strings.TrimSpace(string(one)))
	return err
}
