//go:build darwin || freebsd || (linux && oneshot_noproc)

package main

// overviewHelp is the part of the overview below the list of commands.
const overviewHelp = `
The flags of a session go before the PID:

	-1, -USR1, -2, -USR2   send SIGUSR1 or SIGUSR2 to open the manhole
	-n                     send no signal: the manhole is open, or something else opens it
	-t SECONDS             wait this long for the socket; default 5

This system has no /proc, so oneshot cannot find out which signal opens the manhole of a
process, and where its socket is. It sends a signal only if you give one (-2), and then
expects the socket at the default path, /tmp/manhole-PID. Otherwise give the PATH that is
in the log of the program. The commands ps, top, watch, bundle, web, serve, core and
clean, and reading from outside, are on Linux only; each of them says what to do instead.
`

const connectHelp = `usage: oneshot [-1|-USR1|-2|-USR2|-n] [-t SECONDS] PID|PATH [COMMAND [ARG...]]

Opens the manhole of a process and connects to it. PATH is the path of its socket, such
as /tmp/manhole-4321. With a PID, the socket is at the default path, /tmp/manhole-PID.

	oneshot -2 4321                           send SIGUSR2, and start a session
	oneshot -2 4321 stacks                    send SIGUSR2, and run one command
	kill -USR2 4321; oneshot -n /tmp/my-path  with another path

This system has no /proc. So oneshot cannot find out which signal a process waits for, and
sends one only if you give it: -2 or -1. It is not checked that the process is a Go program
with a manhole. SIGUSR2 does nothing to a Go program without one, but ends most other
programs. So oneshot sends nothing if ps says that the process does not catch it. It is
sent once.

Before it connects, oneshot checks that the socket belongs to you or to root. It sends
nothing until the kernel has confirmed that the program that listens there does so too.
Where the kernel says which process that is (macOS), it must be PID.

On a terminal this is a session: Tab completes what the program knows (commands, flags,
locals, metrics, states), Ctrl-R searches the history, Ctrl-C stops the running command,
Ctrl-D leaves. The lines are saved in oneshot/history in $XDG_STATE_HOME or
~/.local/state. Without a terminal, oneshot sends its standard input to the session and
prints the whole session, with first screen and prompts:

	echo stacks | oneshot -2 4321

A COMMAND is better for scripts.

With a COMMAND, oneshot prints the unchanged output of the command and nothing else,
and ends with its status: 0 for success; 1 for an error, which is on standard error;
2 for an unknown command; 130 if it was interrupted. A single word is taken as a
whole line, so an expression needs one pair of quotes. The arguments of a command
need none.

	oneshot -2 4321 stacks -n 0 | less
	oneshot -2 4321 profile heap > heap.pb.gz
	oneshot -2 4321 'filter(conns, .Idle > 60)'

While a command runs, a terminal at standard error shows its progress. Ctrl-C ends a
profile or a trace early, with what was recorded until then.

The status is 5 if the socket does not appear in time, 2 for wrong usage, and 1 for
every other failure.
`

const signalsHelp = `usage: oneshot signals [-json] MASK [MASK]

Shows signal masks as names. MASK can be a mask as ps prints it (0x4b813efb; it needs no
0x if it has 16 digits or contains one of a to f), the same mask in decimal (1266761467),
or a list of names (USR1,TERM). The names are those of this system, where some signals
have other numbers than on Linux. For a process, ps has the masks:

	ps -o pending,blocked,ignored,caught -p 4321
	oneshot signals 0x4b813efb

If a mask has most of the signals, the missing ones are shown (all but ...).

With two arguments it shows the signals that only the first mask has, that only the
second has, and that both have.
` + linesHelp
