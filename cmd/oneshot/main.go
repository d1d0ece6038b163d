//go:build linux || darwin || freebsd

// Command oneshot finds the manhole of a process, opens it, and connects a terminal
// with a session, or runs a single command for a script.
//
//	oneshot [flags] PID|PATH                     start a session
//	oneshot [flags] PID|PATH COMMAND [ARG...]    run one command, with its output and exit status
//	oneshot COMMAND [ARG...]                     one of the client's own commands
//
// oneshot help lists the client's commands, describes the flags, and says how the program
// finds a manhole.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/command"
)

// Exit statuses. oneshot PID COMMAND ends with the status of COMMAND if it has run.
const (
	statusFailed  = 1
	statusUsage   = 2
	statusTimeout = 5 // the same as in manhole-cli

	statusInterrupted = 130 // of a command that Ctrl-C has stopped
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the program and returns its exit status.
func run(args []string, stdin, stdout, stderr *os.File) int {
	err := dispatch(args, stdin, stdout, stderr)
	if err == nil {
		return 0
	}
	exitStatus := statusFailed
	var usage usageError
	var status statusError
	switch {
	case errors.As(err, &usage):
		exitStatus, err = statusUsage, usage
	case errors.As(err, &status):
		exitStatus, err = status.status, status.err
	}
	for _, one := range split(err) {
		fmt.Fprintf(stderr, "oneshot: %s\n", display.EscapeLine(one.Error()))
	}
	return exitStatus
}

// split returns the errors that errors.Join has joined, each of which gets a line.
func split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(joined.Unwrap()...).Error() { // of fmt.Errorf with more than one %w
		return []error{err}
	}
	return joined.Unwrap()
}

func dispatch(args []string, stdin, stdout, stderr *os.File) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, overview())
		return statusError{status: statusUsage}
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		return printHelp(stdout, "")
	case "-version", "--version":
		name = "version"
	}
	if missing[name] != "" {
		return errors.New(missing[name])
	}
	if lookupSubcommand(name) != nil {
		return runSubcommand(name, args[1:], stdout, stderr)
	}
	err := runSession(args, stdin, stdout, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return printHelp(stdout, "connect")
	}
	return err
}

func runSubcommand(name string, args []string, stdout, stderr io.Writer) error {
	err := lookupSubcommand(name).run(args, stdout, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return printHelp(stdout, name)
	}
	return err
}

// runSession runs the command line of a session, with or without a command.
func runSession(args []string, stdin, stdout, stderr *os.File) error {
	o, rest, err := parseConnect("connect", args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return usageError{"give a PID or PATH; " + whichProcess}
	}
	if err := checkOrder(rest); err != nil {
		return err
	}
	t, err := parseTarget(rest[0])
	if err != nil {
		return err
	}
	words := orScreen(rest[1:])
	if is, err := viaOutside(t, o, words, stdout, stderr); is || err != nil {
		return err
	}
	if len(words) > 0 {
		return runCommand(t, o, commandLine(words), stdout, stderr)
	}
	return session(t, o, stdin, stdout)
}

// orScreen returns the words of a command. -json alone stands for the first screen.
func orScreen(words []string) []string {
	if rest, form := command.CutJSON(words); form != command.AsText && len(rest) == 0 {
		return append([]string{"screen"}, words...)
	}
	return words
}

// checkOrder returns an error for words in an order that people type by mistake, with
// the right order.
func checkOrder(words []string) error {
	all := command.Completions()
	at := slices.IndexFunc(all, func(c *command.Command) bool { return c.Name == words[0] })
	isCommand := at >= 0
	switch {
	case isCommand && len(words) > 1 && isProcess(words[len(words)-1]) && !takesNumber(all[at]):
		last := len(words) - 1
		return usageError{"the process comes first: oneshot " + words[last] + " " + commandLine(words[:last])}
	case isCommand:
		return usageError{fmt.Sprintf("%s is a command for a process, which comes first: oneshot PID %s", words[0], commandLine(words))}
	case len(words) > 1 && strings.HasPrefix(words[1], "-") && len(orScreen(words[1:])) == len(words)-1:
		flags := commandLine(words[1:])
		var texts []string
		if isConnectFlag(words[1]) {
			texts = append(texts, fmt.Sprintf("flags go before the process: oneshot %s %s", flags, words[0]))
		}
		if words[1] == "-n" || len(texts) == 0 {
			texts = append(texts, fmt.Sprintf("flags of a command go behind the command: oneshot %s stacks %s", words[0], flags))
		}
		return usageError{strings.Join(texts, "; ")}
	}
	return nil
}

// takesNumber reports whether an argument of a command may be a number, which must not
// be taken for a pid: goroutine 18.
func takesNumber(c *command.Command) bool {
	for _, arg := range []string{"ID", "[N]", "[N|", "[BYTES|"} {
		if strings.Contains(c.Args, arg) {
			return true
		}
	}
	return false
}

// isConnectFlag reports whether a word is a flag of a session. manhole-cli accepts
// flags after the PID, so people may type them there.
func isConnectFlag(word string) bool {
	switch word {
	case "-1", "-2", "-USR1", "-USR2", "-n", "-s", "-t":
		return true
	}
	return false
}

// isProcess reports whether a word can name a process or its socket.
func isProcess(word string) bool {
	_, err := parseTarget(word)
	return err == nil
}

// commandLine quotes the words of a command and joins them to a line. A single word
// is a line already, for example an expression.
func commandLine(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n\r\v\f'\"\\") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
