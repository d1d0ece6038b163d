//go:build linux

// Command oneshot finds the manhole of a process, opens it, and gives a session
// with a good terminal, or runs one command for a script.
//
//	oneshot [flags] PID|PATH                     a session
//	oneshot [flags] PID|PATH COMMAND [ARG...]    one command: its output, its exit status
//	oneshot ps [-json]                           the Go processes, and which have a manhole
//	oneshot signals PID|MASK [PID|MASK]          signal masks as names; two are compared
//	oneshot pprof [flags] PID PROFILE [ARG...]   a profile, in go tool pprof
//	oneshot clean [-n] [-v] [DIR]                removes sockets that nobody listens on
//	oneshot version
//	oneshot help [COMMAND]
//
// oneshot help tells the flags, and where the program looks.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// Exit statuses. A command that was run by oneshot PID COMMAND has its own.
const (
	statusFailed  = 1
	statusUsage   = 2
	statusTimeout = 5 // as manhole-cli has it
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program; it returns its exit status.
func run(args []string, stdin, stdout, stderr *os.File) int {
	err := dispatch(args, stdin, stdout, stderr)
	if err == nil {
		return 0
	}
	var status statusError
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "oneshot: %s\n", shownLine(usage.text))
		return statusUsage
	case errors.As(err, &status):
		if status.err != nil {
			fmt.Fprintf(stderr, "oneshot: %s\n", shownLine(status.err.Error()))
		}
		return status.status
	}
	fmt.Fprintf(stderr, "oneshot: %s\n", shownLine(err.Error()))
	return statusFailed
}

// subcommands are those that are no session. A pid is a number and a path has a
// slash, so that none of them can be meant.
var subcommands = map[string]func(args []string, stdout, stderr io.Writer) error{
	"ps":      runPS,
	"signals": runSignals,
	"pprof":   runPprof,
	"clean":   runClean,
	"version": runVersion,
	"help":    runHelp,
}

func dispatch(args []string, stdin, stdout, stderr *os.File) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, helpTexts[""])
		return statusError{status: statusUsage}
	}
	if args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		return runHelp(nil, stdout, stderr)
	}
	if sub := subcommands[args[0]]; sub != nil {
		if len(args) == 2 && (args[1] == "-h" || args[1] == "-help" || args[1] == "--help") {
			return runHelp(args[:1], stdout, stderr)
		}
		return sub(args[1:], stdout, stderr)
	}
	o, rest, err := parseConnect(args)
	if errors.Is(err, flag.ErrHelp) {
		return runHelp([]string{"connect"}, stdout, stderr)
	}
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return usageError{"no PID or PATH; oneshot ps lists who has a manhole"}
	}
	t, err := parseTarget(rest[0])
	if err != nil {
		return err
	}
	if len(rest) == 2 && isConnectFlag(rest[1]) {
		return usageError{fmt.Sprintf("%s: flags stand before the pid: oneshot %s %s", rest[1], rest[1], rest[0])}
	}
	if len(rest) > 1 {
		return command(t, o, commandLine(rest[1:]), stdout, stderr)
	}
	return session(t, o, stdin, stdout)
}

// commandLine is the line for a command and its arguments. One alone is a line
// already, which may be an expression.
func commandLine(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\r\v\f'\"\\") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}
