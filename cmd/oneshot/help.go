//go:build linux

package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

// helpTexts are what oneshot help prints; that of the empty name is the overview.
var helpTexts = map[string]string{
	"": `Oneshot opens the manhole of a Go process, to look inside while it runs.

Usage:

	oneshot [flags] PID|PATH                     a session
	oneshot [flags] PID|PATH COMMAND [ARG...]    one command: its output, its exit status
	oneshot ps [-json]                           the Go processes, and which have a manhole
	oneshot signals PID|MASK [PID|MASK]          signal masks as names; two are compared
	oneshot pprof [flags] PID PROFILE [ARG...]   a profile, in go tool pprof
	oneshot clean [-n] [-v] [DIR]                removes sockets that nobody listens on
	oneshot version
	oneshot help [COMMAND]

The flags of a session, before the PID:

	-1, -USR1, -2, -USR2   send SIGUSR1 or SIGUSR2 to open it
	-s SIGNAL              send another one, by name or number
	-n                     send none: it is open already, or opened otherwise
	-t SECONDS             wait so long for its socket; 5 unless told

Without a signal among the flags, the process's own notice in /proc/PID/maps says
which one opens it, and where. A process without one is not sent any signal.

oneshot help COMMAND tells more: connect, ps, signals, pprof, clean.
`,
	"connect": `usage: oneshot [-1|-USR1|-2|-USR2|-s SIGNAL|-n] [-t SECONDS] PID|PATH [COMMAND [ARG...]]

Opens the manhole of a process and connects to it. PATH is where its socket stands,
such as /tmp/manhole-4321, or @name for an abstract one; the number at its end is
the pid. A process in a container is named by its pid out here; its socket is
found through /proc/PID/root.

Nothing is sent before the kernel has said that the socket belongs to that process
and its user. A signal that would end the process, or that it ignores, is not sent.

With a terminal it is a session: Tab completes commands and flags, Ctrl-C stops the
running command, Ctrl-D leaves, and the lines are kept in oneshot/history in
$XDG_STATE_HOME or ~/.local/state. Without one it passes on what
is piped in, and prints the session as it is, first screen and prompts included:

	echo stacks | oneshot 4321

For scripts a COMMAND is better.

With a COMMAND it prints the output of that alone, as it is, and ends with its
status: 0; 1 for an error, which is on standard error; 2 for no such command; 130 if
it was interrupted. A single word is taken as a whole line, so expressions need one
pair of quotes; the arguments of a command need none.

	oneshot 4321 stacks -n 0 | less
	oneshot 4321 profile heap > heap.pb.gz
	oneshot 4321 'filter(conns, .Idle > 60)'

The status is 5 if the socket does not come in time, 2 for wrong usage, 1 for every
other failure.
`,
	"pprof": `usage: oneshot pprof [flags] PID PROFILE [ARG...] [-- PPROF-FLAG...]

Takes a profile (cpu, heap, allocs, block, mutex, goroutine, threadcreate, or one of
the program's own) into a temporary file and opens it with go tool pprof. ARG are
those of the console's command profile, PPROF-FLAG those of go tool pprof. PROFILE
may be trace, which is opened with go tool trace. The flags are those of a session.

	oneshot pprof 4321 heap
	oneshot pprof 4321 cpu -seconds 10 -- -top
	oneshot pprof 4321 allocs -seconds 5 -- -http :8080

The file stays, and its name is printed, where there is no go command.
`,
	"ps":      psHelp,
	"signals": signalsHelp,
	"clean":   cleanHelp,
	"version": "usage: oneshot version\n\nPrints the version of the client.\n",
	"help":    "usage: oneshot help [COMMAND]\n\nExplains a command, or lists them.\n",
}

func runHelp(args []string, stdout, _ io.Writer) error {
	switch {
	case len(args) == 0:
		args = []string{""}
	case len(args) > 1:
		return usageError{"help takes one command at a time: oneshot help COMMAND"}
	}
	text, ok := helpTexts[args[0]]
	if !ok {
		var names []string
		for name := range helpTexts {
			if name != "" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return usageError{fmt.Sprintf("help %.40q: no such command; there are %s", args[0], strings.Join(names, ", "))}
	}
	_, err := io.WriteString(stdout, text)
	return err
}

func runVersion(args []string, stdout, _ io.Writer) error {
	if len(args) > 0 {
		return usageError{"version takes no arguments"}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		_, err := fmt.Fprintln(stdout, "oneshot, of unknown version")
		return err
	}
	text := "oneshot " + info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value
		}
	}
	_, err := fmt.Fprintf(stdout, "%s, %s\n", text, info.GoVersion)
	return err
}
