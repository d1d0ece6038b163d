//go:build linux || darwin || freebsd

package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/manual"
)

// subcommand is a command of the client, other than a session. No name can be mistaken
// for a pid, which is a number, or for a path, which contains a slash. Help, completion
// and the man pages come from the table of subcommands.
type subcommand struct {
	name    string
	args    string // as help shows them
	summary string
	help    string              // what oneshot help NAME prints
	flags   func(*flag.FlagSet) // defines the flags, for completion and the man page
	operand manual.Operand      // what its first argument is, for completion
	words   []string            // what its argument can be; for completion
	run     func(args []string, stdout, stderr io.Writer) error
}

// lookupSubcommand returns a subcommand, or nil if there is none of this name.
func lookupSubcommand(name string) *subcommand {
	all := subcommands()
	if i := slices.IndexFunc(all, func(c *subcommand) bool { return c.name == name }); i >= 0 {
		return all[i]
	}
	return nil
}

// usageLine returns how the subcommand is typed.
func (c *subcommand) usageLine() string { return strings.TrimSpace("oneshot " + c.name + " " + c.args) }

// sessionUsage are the two lines of the command line without a subcommand.
var sessionUsage = [][2]string{
	{"oneshot [flags] PID|PATH", "start a session"},
	{"oneshot [flags] PID|PATH COMMAND [ARG...]", "run one command, with its output and exit status"},
}

// overview returns what oneshot help prints.
func overview() string {
	var b strings.Builder
	b.WriteString("Oneshot opens the manhole of a running Go process, so that you can look inside.\n\nUsage:\n\n")
	line := func(usage, summary string) { fmt.Fprintf(&b, "\t%-43s  %s\n", usage, summary) }
	for _, l := range sessionUsage {
		line(l[0], l[1])
	}
	for _, c := range subcommands() {
		line(c.usageLine(), c.summary)
	}
	b.WriteString(overviewHelp)
	fmt.Fprintf(&b, "\noneshot help COMMAND describes a command: %s.\n", strings.Join(helpNames(), ", "))
	return b.String()
}
