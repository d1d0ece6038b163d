package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/values"
)

// valueCommands are the commands about the values in Options.Locals.
var valueCommands = []*Command{
	{
		Name: "locals", Summary: "list the values in Options.Locals, with their types",
		Run: NoArgs(runLocals),
	},
	{
		Name: "print", Args: "[-racy] NAME", Summary: "show one of these values in full",
		Help: "What a func() any of the program returns is shown whole: such a function takes the program's lock and\n" +
			"returns a copy. The methods String, Error and LogValue are called, no others. Any other value may be\n" +
			"written by the program at the same moment. Of it, print shows the value itself, and the numbers, booleans\n" +
			"and pointers behind its pointers. It calls no methods, and says \"not read\" for strings, interfaces,\n" +
			"slices and maps. Depth, length and size are bounded, and the output says where something was left out.\n" +
			"To have all of it shown, the program gives a func() any in Options.Locals.\n" +
			"  -racy  read everything and call the methods, without a lock. If the program writes to the value at the\n" +
			"         same moment, this can END THE PROGRAM, and nothing can prevent that",
		Flags: flagNames(racyFlag(new(bool))),
		Run:   runPrint,
	},
}

func runLocals(ctx context.Context, s Session) error {
	locals := s.Locals()
	names := slices.Sorted(maps.Keys(locals))
	if len(names) == 0 {
		fmt.Fprintln(s, "the program has given no values (Options.Locals)")
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		const width = 100
		kind, short := "", ""
		switch v, isCopy, err := current(locals[name]); {
		case err != nil:
			short = plaintext.Line(err.Error())
		case isCopy:
			kind, short = values.Type(v), values.Short(v, width)
		default:
			kind, short = values.Type(v), values.ShortLive(v, width)
		}
		fmt.Fprintf(s, "%-16s %-20s %s\n", plaintext.Line(name), kind, short)
	}
	return nil
}

func racyFlag(racy *bool) func(*flag.FlagSet) {
	return func(flags *flag.FlagSet) { flags.BoolVar(racy, "racy", false, "") }
}

func runPrint(_ context.Context, s Session, args []string) error {
	racy := false
	args, err := parseFlags("print", args, racyFlag(&racy))
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return errors.New("print: give one name; locals lists them")
	}
	locals := s.Locals()
	local, ok := locals[args[0]]
	if !ok {
		return fmt.Errorf("print: there is no local %q; %s", plaintext.Clip(args[0], 40), localNames(locals))
	}
	v, isCopy, err := current(local)
	if err != nil {
		return fmt.Errorf("print: %s: %w", args[0], err)
	}
	if racy || isCopy {
		return values.Write(s, v)
	}
	complete, err := values.WriteLive(s, v)
	if err == nil && !complete {
		_, err = fmt.Fprintln(s, "not read: the program may be writing it; see help print")
	}
	return err
}

// current returns the value of a local now. If the local is a func() any, current
// calls it, and isCopy is true: nobody else writes to what it returns. If it
// panics, current returns an error.
func current(local any) (v any, isCopy bool, err error) {
	f, ok := local.(func() any)
	if !ok || f == nil {
		return local, false, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("!panic: " + values.Failure(p))
		}
	}()
	return f(), true, nil
}

// localNames returns a text that names the locals, for errors.
func localNames(locals map[string]any) string {
	names := slices.Sorted(maps.Keys(locals))
	const most = 20
	switch {
	case len(names) == 0:
		return "the program has given none (Options.Locals)"
	case len(names) > most:
		return "locals lists them"
	}
	return "there are " + strings.Join(names, ", ")
}
