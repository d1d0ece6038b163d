package command

import (
	"errors"
	"flag"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFlagsAreThoseOfPackageFlag compares the values, the other arguments and the
// errors with those of package flag.
func TestFlagsAreThoseOfPackageFlag(t *testing.T) {
	type values struct {
		b    bool
		n    int
		s, f string
	}
	refuse := func(to *string) func(string) error {
		return func(value string) error {
			if value == "bad" {
				return errors.New("it is bad")
			}
			*to = value
			return nil
		}
	}
	for _, args := range [][]string{
		{}, {"a"}, {"-b"}, {"--b"}, {"-b=false"}, {"-b=x"}, {"-b="}, {"-b", "x"}, {"-n", "7"}, {"-n=0x10"}, {"-n", "-3"}, {"-n", "x"},
		{"-n="}, {"-n", "9223372036854775808"}, {"-n"}, {"-s", "x y"}, {"-s="}, {"-s"}, {"-s", "-b"}, {"--s=a=b"}, {"-f", "ok"}, {"-f", "bad"},
		{"-x"}, {"-x=3"}, {"-h"}, {"--help"}, {"-help=3"}, {"-"}, {"--"}, {"--", "-b"}, {"---b"}, {"-=3"}, {"--=3"}, {"a", "-b", "c", "-n", "7"},
		{"a", "--", "-b"}, {"-s", "--"}, {"-n", "1", "-n", "2"}, {"a", "-", "-b"}, {"", "-b"}, {"-é", "x"}, {"a", "-x"},
	} {
		var got, want values
		rest, err := parseFlags("cmd", args, option{"b", &got.b}, option{"n", &got.n}, option{"s", &got.s}, option{"f", refuse(&got.f)})

		theirs := flag.NewFlagSet("cmd", flag.ContinueOnError)
		theirs.SetOutput(io.Discard)
		theirs.BoolVar(&want.b, "b", false, "")
		theirs.IntVar(&want.n, "n", 0, "")
		theirs.StringVar(&want.s, "s", "", "")
		theirs.Func("f", "", refuse(&want.f))
		wantRest, wantErr := parseTheirs(theirs, args)

		if wantErr != nil {
			require.EqualError(t, err, "cmd: "+wantErr.Error()+"; help cmd says more", "%q", args)
			continue
		}
		require.NoError(t, err, "%q", args)
		require.Equal(t, want, got, "%q", args)
		require.Equal(t, wantRest, rest, "%q", args)
	}
}

// parseTheirs parses flags between arguments: package flag stops at each argument.
func parseTheirs(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		taken := args[:len(args)-flags.NArg()]
		args = flags.Args()
		if len(taken) > 0 && taken[len(taken)-1] == "--" {
			return append(rest, args...), nil
		}
		if len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, nil
}

// TestTheTableHasTheFlags: the table is written out, so that no code has to fill it.
func TestTheTableHasTheFlags(t *testing.T) {
	for name, options := range map[string][]option{
		"stacks":  new(stacksFlags).options(),
		"profile": new(recording).options(maxProfileTime),
		"trace":   new(traceFlags).options(),
	} {
		var flags []string
		for _, o := range options {
			flags = append(flags, "-"+o.name)
		}
		for _, cmd := range All() {
			if cmd.Name == name {
				rest, _ := CutJSON(cmd.Flags) // which no function parses with the others
				require.Equal(t, flags, rest, name)
			}
		}
	}
	require.Equal(t, []string{"cpu"}, profileNames[:1])
	require.Equal(t, cumulative, profileNames[1:1+len(cumulative)])
}
