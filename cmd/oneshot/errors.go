//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
)

// usageError is an error in the command line. Its text says what to type instead.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// statusError ends the client with an exit status. err is nil if nothing is left to
// report.
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

// parseFlags parses the flags of a subcommand and returns the arguments after them.
// The error is flag.ErrHelp if the flags ask for help.
func parseFlags(name string, args []string, define func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		err = usageError{fmt.Sprintf("%s: %v; oneshot help %s shows the flags", name, err, name)}
	}
	return flags.Args(), err
}
