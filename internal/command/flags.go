package command

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

// parseFlags parses the flags of a command, which may come before, between and
// after the other arguments. It returns the other arguments.
func parseFlags(cmd string, args []string, define func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet(cmd, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	var rest []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, fmt.Errorf("%s: %w; help %s says more", cmd, err, cmd)
		}
		// Arguments after "--" are not flags.
		if literal := len(args) - flags.NArg(); literal > 0 && args[literal-1] == "--" {
			return append(rest, flags.Args()...), nil
		}
		if args = flags.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, nil
}

// NoArgs returns the Run function of a command that takes no arguments. It returns
// an error if there are any.
func NoArgs[S any](run func(context.Context, S) error) func(context.Context, S, []string) error {
	return func(ctx context.Context, s S, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("it takes no arguments, not %q; help says more", plaintext.Clip(strings.Join(args, " "), 40))
		}
		return run(ctx, s)
	}
}

// flagNames returns the names of the flags that define defines, with the dash.
func flagNames(define func(*flag.FlagSet)) (names []string) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	define(flags)
	flags.VisitAll(func(f *flag.Flag) { names = append(names, "-"+f.Name) })
	return names
}

// countFlag defines -n, the number of rows to show.
func countFlag(n *int) func(*flag.FlagSet) {
	return func(flags *flag.FlagSet) { flags.IntVar(n, "n", *n, "") }
}
