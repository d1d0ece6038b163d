//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
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

// foreignError is the error for a socket of another program.
type foreignError struct{ text string }

func (e foreignError) Error() string { return e.text }

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

// noFlags is for a subcommand without flags.
func noFlags(*flag.FlagSet) {}

// parseMixed is like parseFlags for a subcommand whose flags may also come after its
// arguments: oneshot serve 4321 -http :6060.
func parseMixed(name string, args []string, define func(*flag.FlagSet)) (rest []string, err error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	for {
		if err := flags.Parse(args); err != nil {
			if !errors.Is(err, flag.ErrHelp) {
				err = usageError{fmt.Sprintf("%s: %v; oneshot help %s shows the flags", name, err, name)}
			}
			return nil, err
		}
		if flags.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
}

// explainDial returns the error for a socket that refuses connections for good.
func explainDial(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("not permitted to connect to %s: it belongs to another user; become that user, or root", path)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%s is not the socket of a manhole", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// systemError returns the error of the system without the operation and the
// addresses.
func systemError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// signalText returns the name of a signal.
func signalText(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
