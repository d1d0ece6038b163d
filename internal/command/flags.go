package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

// option is a flag of a command. The flags are written as in package flag, and have
// its error texts. Package flag itself would be linked into the program only for them.
type option struct {
	name  string // without the dash
	value any    // where to put the value: *bool, *int or *string, or a func(string) error
}

// parseFlags parses the flags of a command, which may come before, between and
// after the other arguments. It returns the other arguments.
func parseFlags(cmd string, args []string, options ...option) (rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case len(word) < 2 || word[0] != '-':
			rest = append(rest, word)
			continue
		case word == "--": // what follows are no flags
			return append(rest, args...), nil
		}
		if args, err = parseFlag(word, args, options); err != nil {
			return nil, fmt.Errorf("%s: %w; help %s says more", cmd, err, cmd)
		}
	}
	return rest, nil
}

// parseFlag sets the value of the flag in word. It takes the value from the word, or
// from the arguments after it, and returns the other arguments.
func parseFlag(word string, args []string, options []option) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
	if name == "" || name[0] == '-' {
		return nil, fmt.Errorf("bad flag syntax: %s", word)
	}
	for _, o := range options {
		if o.name != name {
			continue
		}
		_, isBool := o.value.(*bool)
		switch {
		case isBool && !hasValue:
			value = "true"
		case !hasValue && len(args) == 0:
			return nil, fmt.Errorf("flag needs an argument: -%s", name)
		case !hasValue:
			value, args = args[0], args[1:]
		}
		err := o.set(value)
		switch {
		case err != nil && isBool:
			return nil, fmt.Errorf("invalid boolean value %q for -%s: %w", value, name, err)
		case err != nil:
			return nil, fmt.Errorf("invalid value %q for flag -%s: %w", value, name, err)
		}
		return args, nil
	}
	if name == "h" || name == "help" {
		return nil, errors.New("flag: help requested")
	}
	return nil, fmt.Errorf("flag provided but not defined: -%s", name)
}

// set parses the value of a flag.
func (o option) set(value string) (err error) {
	switch to := o.value.(type) {
	case *bool:
		*to, err = strconv.ParseBool(value)
	case *int:
		var n int64
		n, err = strconv.ParseInt(value, 0, strconv.IntSize)
		*to = int(n)
	case *string:
		*to = value
	case func(string) error:
		return to(value)
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return errors.New("value out of range")
	case err != nil:
		return errors.New("parse error")
	}
	return nil
}

// NoArgs returns the find function of a command that takes no arguments (see Answers). It
// returns an error if there are any.
func NoArgs[S any](find func(context.Context, S) (Answer, error)) func(context.Context, S, []string) (Answer, error) {
	return func(ctx context.Context, s S, args []string) (Answer, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("it takes no arguments, but got %q; help says more", plaintext.Clip(strings.Join(args, " "), 40))
		}
		return find(ctx, s)
	}
}
