//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
)

// usageError is a mistake in what was typed. Its text says what to type instead.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// statusError ends the client with an exit status. Its err may be nil: all has
// been said already.
type statusError struct {
	status int
	err    error
}

func (e statusError) Error() string {
	if e.err == nil {
		return "exit status " + strconv.Itoa(e.status)
	}
	return e.err.Error()
}

func (e statusError) Unwrap() error { return e.err }

// errHelp is that help was asked for and has been printed.
var errHelp = errors.New("help was printed")

// parseSubcommand parses the flags of a subcommand and returns its arguments.
func parseSubcommand(name, help string, args []string, stdout io.Writer, define func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		if _, err := io.WriteString(stdout, help); err != nil {
			return nil, err
		}
		return nil, errHelp
	case err != nil:
		return nil, usageError{fmt.Sprintf("%s: %v; oneshot help %s tells the flags", name, err, name)}
	}
	return flags.Args(), nil
}

// countOf is a number and what it counts.
func countOf(n int, noun, nouns string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + nouns
}
