package oneshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/values"
)

// valueCommands are those about the values that the program has given.
var valueCommands = []*Command{
	{
		Name: "locals", Summary: "list the values that the program has given, by name, with type and short value",
		Run: noArgs(runLocals),
	},
	{
		Name: "print", Args: "NAME", Summary: "show one of locals whole, with its fields",
		Help: "No method of the value is run but String, Error and LogValue. Depth, length and size are bounded, and\n" +
			"the output says where something was left out.",
		Run: runPrint,
	},
}

func runLocals(ctx context.Context, s *Session) error {
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
		if v, err := s.localNow(name); err != nil {
			short = err.Error()
		} else {
			kind, short = values.Type(v), values.Short(v, width)
		}
		fmt.Fprintf(s, "%-16s %-20s %s\n", printable(name), kind, short)
	}
	return nil
}

func runPrint(_ context.Context, s *Session, args []string) error {
	if len(args) != 1 {
		return errors.New("print: give one name; locals lists them")
	}
	if _, ok := s.Locals()[args[0]]; !ok {
		return fmt.Errorf("print: there is no local %q; %s", clip(args[0], 40), s.thereAre())
	}
	v, err := s.localNow(args[0])
	if err != nil {
		return fmt.Errorf("print: %s: %w", args[0], err)
	}
	return values.Write(s, v)
}

// localNow is Local with the panic of a func as an error.
func (s *Session) localNow(name string) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("!panic: %v", p)
		}
	}()
	v, _ = s.Local(name)
	return v, nil
}

// thereAre tells which names there are.
func (s *Session) thereAre() string {
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
