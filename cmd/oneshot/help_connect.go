//go:build linux && !oneshot_noproc

package main

// overviewHelp is the part of the overview below the list of commands.
const overviewHelp = `
The flags of a session go before the PID:

	-1, -USR1, -2, -USR2   send SIGUSR1 or SIGUSR2 to open the manhole
	-s SIGNAL              send another signal, by name or number
	-n                     send no signal: the manhole is open, or something else opens it
	-outside               read the memory of the process instead: no signal, no stop
	-t SECONDS             wait this long for the socket; default 5

Without -1, -2, -s or -n, oneshot reads the notice of the process in /proc/PID/maps,
which names the signal and the path of the socket. A process without a notice gets no
signal. If it is a Go program, it is read from outside, from its memory and from /proc;
that needs the right to trace it (the same user where the system allows it, or root).
`

const connectHelp = `usage: oneshot [-1|-USR1|-2|-USR2|-s SIGNAL|-n] [-t SECONDS] PID|PATH [COMMAND [ARG...]]

Opens the manhole of a process and connects to it. PATH is the path of its socket,
such as /tmp/manhole-4321, or @name for an abstract socket; the number at its end is
the pid. For a process in a container give its pid outside of the container; its
socket is found in /proc/PID/root.

Of a program with file capabilities, or without CAP_SYS_PTRACE, only the status of the
process may be readable. With a signal (-2) oneshot then tries the default paths
/tmp/manhole-PID, /dev/shm/manhole-PID and @manhole-PID. If it cannot enter, its error
names the command that enters. docs/deploy.md has them all.

oneshot sends nothing to a socket until the kernel has confirmed that it belongs to
this process and its user. It does not send a signal that the process ignores or that
would end it.

On a terminal this is a session: Tab completes what the program knows (commands, flags,
locals, metrics, states, files of /proc), Ctrl-R searches the history, Ctrl-C stops the
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

A Go program without a manhole, or any with -outside, is read from outside: from its
memory and from /proc. Without a command that is the first screen. The commands stacks,
goroutine, fds, threads, proc, env, build and signals work as in a session, and help
lists them. stacks -diff takes two looks, one second apart. Nothing is sent to the
process or written to it, and it is not stopped. The stack of a running goroutine
is not known.

While a command runs, a terminal at standard error shows its progress. Ctrl-C ends a
profile or a trace early, with what was recorded until then.

The status is 5 if the socket does not appear in time, 2 for wrong usage, and 1 for
every other failure.
`
