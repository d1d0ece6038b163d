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
		Name: "locals", Summary: "list the values that the program has given, by name, with type and short value",
		Run: NoArgs(runLocals),
	},
	{
		Name: "print", Args: "[-maps] NAME", Summary: "show one of locals whole, with its fields",
		Help: "No method of the value is run but String, Error and LogValue. Depth, length and size are bounded, and\n" +
			"the output says where something was left out. Maps are read only in what a func() any of the program\n" +
			"has returned, since a map that the program writes meanwhile ends it.\n" +
			"  -maps  read them all the same",
		Flags: flagNames(mapsFlag(new(bool))),
		Run:   runPrint,
	},
}

func runLocals(ctx context.Context, s Session) error {
	names := slices.Sorted(maps.Keys(s.Locals()))
	if len(names) == 0 {
		fmt.Fprintln(s, "the program has given no values (Options.Locals)")
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		const width = 100
		kind, short := "", ""
		if v, err := localNow(s, name); err != nil {
			short = plaintext.Line(err.Error())
		} else {
			kind, short = values.Type(v), values.ShortWithoutMaps(v, width)
			if isCopy(s, name) {
				short = values.Short(v, width)
			}
		}
		fmt.Fprintf(s, "%-16s %-20s %s\n", plaintext.Line(name), kind, short)
	}
	return nil
}

func mapsFlag(maps *bool) func(*flag.FlagSet) {
	return func(flags *flag.FlagSet) { flags.BoolVar(maps, "maps", false, "") }
}

func runPrint(_ context.Context, s Session, args []string) error {
	maps := false
	args, err := parseFlags("print", args, mapsFlag(&maps))
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return errors.New("print: give one name; locals lists them")
	}
	if _, ok := s.Locals()[args[0]]; !ok {
		return fmt.Errorf("print: there is no local %q; %s", plaintext.Clip(args[0], 40), localNames(s))
	}
	v, err := localNow(s, args[0])
	if err != nil {
		return fmt.Errorf("print: %s: %w", args[0], err)
	}
	if maps || isCopy(s, args[0]) {
		return values.Write(s, v)
	}
	return values.WriteWithoutMaps(s, v)
}

// isCopy reports whether a local is the result of a func of the program. Nobody else
// writes to such a value.
func isCopy(s Session, name string) bool {
	_, isFunc := s.Locals()[name].(func() any)
	return isFunc
}

// localNow returns the value of a local. If a func of the program panics, localNow
// returns an error.
func localNow(s Session, name string) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("!panic: %v", p)
		}
	}()
	v, _ = s.Local(name)
	return v, nil
}

// localNames returns a text that names the locals, for errors.
func localNames(s Session) string {
	names := slices.Sorted(maps.Keys(s.Locals()))
	const most = 20
	switch {
	case len(names) == 0:
		return "the program has given none (Options.Locals)"
	case len(names) > most:
		return "locals lists them"
	}
	return "there are " + strings.Join(names, ", ")
}
