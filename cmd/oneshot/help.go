//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
)

// helpTexts has the output of oneshot help COMMAND. The empty name is the overview.
var helpTexts = map[string]string{
	"": `Oneshot opens the manhole of a running Go process, so that you can look inside.

Usage:

	oneshot [flags] PID|PATH                     start a session
	oneshot [flags] PID|PATH COMMAND [ARG...]    run one command, with its output and exit status
	oneshot ps [-json]                           list the Go processes and their manholes
	oneshot signals PID|MASK [PID|MASK]          show signal masks as names, or compare two
	oneshot pprof [flags] PID PROFILE [ARG...]   open a profile in go tool pprof
	oneshot core FILE [EXECUTABLE] [COMMAND]     show the goroutines in a core file
	oneshot clean [-n] [-v] [DIR]                remove sockets without a listener
	oneshot version
	oneshot help [COMMAND]

The flags of a session go before the PID:

	-1, -USR1, -2, -USR2   send SIGUSR1 or SIGUSR2 to open the manhole
	-s SIGNAL              send another signal, by name or number
	-n                     send no signal: the manhole is open, or something else opens it
	-outside               read the memory of the process instead: no signal, no stop
	-t SECONDS             wait this long for the socket; default 5

Without -1, -2, -s or -n, oneshot reads the notice of the process in /proc/PID/maps,
which names the signal and the path of the socket. A process without a notice gets no
signal. If it is a Go program, its goroutines are read from its memory; that needs the
right to trace it (the same user where the system allows it, or root).

oneshot help COMMAND describes a command: connect, ps, signals, pprof, core, clean.
`,
	"connect": `usage: oneshot [-1|-USR1|-2|-USR2|-s SIGNAL|-n] [-t SECONDS] PID|PATH [COMMAND [ARG...]]

Opens the manhole of a process and connects to it. PATH is the path of its socket,
such as /tmp/manhole-4321, or @name for an abstract socket; the number at its end is
the pid. For a process in a container give its pid outside of the container; its
socket is found in /proc/PID/root.

oneshot sends nothing to a socket until the kernel has confirmed that it belongs to
this process and its user. It does not send a signal that the process ignores or that
would end it.

On a terminal this is a session: Tab completes commands and flags, Ctrl-C stops the
running command, Ctrl-D leaves. The lines are saved in oneshot/history in
$XDG_STATE_HOME or ~/.local/state. Without a terminal, oneshot sends its standard
input to the session and prints the whole session, with first screen and prompts:

	echo stacks | oneshot 4321

A COMMAND is better for scripts.

With a COMMAND, oneshot prints the unchanged output of the command and nothing else,
and ends with its status: 0 for success; 1 for an error, which is on standard error;
2 for an unknown command; 130 if it was interrupted. A single word is taken as a
whole line, so an expression needs one pair of quotes. The arguments of a command
need none.

	oneshot 4321 stacks -n 0 | less
	oneshot 4321 profile heap > heap.pb.gz
	oneshot 4321 'filter(conns, .Idle > 60)'

A Go program without a manhole, or any with -outside, is read from outside. Then there
are the commands stacks [-n N] [-state S] [-full] [-go] [REGEXP] and goroutine ID, and
without a command the first screen. Nothing is sent to the process or written to it,
and it is not stopped. Where a running goroutine is cannot be seen.

The status is 5 if the socket does not appear in time, 2 for wrong usage, and 1 for
every other failure.
`,
	"pprof": `usage: oneshot pprof [flags] PID PROFILE [ARG...] [-- PPROF-FLAG...]

Takes a profile (cpu, heap, allocs, block, mutex, goroutine, threadcreate, or one of
the program's own) and opens it with go tool pprof. The ARGs are those of the command
profile in a session, the PPROF-FLAGs those of go tool pprof. If PROFILE is trace, it
is opened with go tool trace. The flags are those of a session.

	oneshot pprof 4321 heap
	oneshot pprof 4321 cpu -seconds 10 -- -top
	oneshot pprof 4321 allocs -seconds 5 -- -http :8080

The profile is a temporary file. Without a go command, oneshot keeps the file and
prints its name.
`,
	"ps":      psHelp,
	"signals": signalsHelp,
	"clean":   cleanHelp,
	"core":    coreHelp,
	"version": "usage: oneshot version\n\nPrints the version of the client.\n",
	"help":    "usage: oneshot help [COMMAND]\n\nDescribes a command, or lists all commands.\n",
}

func runHelp(args []string, stdout, _ io.Writer) error {
	rest, err := parseFlags("help", args, func(*flag.FlagSet) {})
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return printHelp(stdout, "")
	case len(rest) > 1:
		return usageError{"help takes one command: oneshot help COMMAND"}
	case helpTexts[rest[0]] == "":
		names := slices.Sorted(maps.Keys(helpTexts))[1:] // without the empty one
		return usageError{fmt.Sprintf("help %.40q: no such command; the commands are %s", rest[0], strings.Join(names, ", "))}
	}
	return printHelp(stdout, rest[0])
}

func printHelp(stdout io.Writer, name string) error {
	_, err := io.WriteString(stdout, helpTexts[name])
	return err
}

func runVersion(args []string, stdout, _ io.Writer) error {
	rest, err := parseFlags("version", args, func(*flag.FlagSet) {})
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{"version takes no arguments"}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		_, err := fmt.Fprintln(stdout, "oneshot, unknown version")
		return err
	}
	_, err = fmt.Fprintf(stdout, "oneshot %s, %s\n", info.Main.Version, info.GoVersion)
	return err
}
