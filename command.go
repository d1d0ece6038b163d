package oneshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// command is one command of the console.
type command struct {
	name    string
	args    string // as the help shows them
	summary string // one line
	help    string // what else there is to know; may be empty
	run     func(ctx context.Context, s *session, args []string) error
}

// errExit is how a command ends the session.
var errExit = errors.New("exit")

// builtins is the table of the commands, in the order of help.
var builtins = []*command{
	{
		name: "help", args: "[COMMAND]", summary: "list the commands, or explain one",
		run: runHelp,
	},
	{
		name: "stacks", args: "[-n N]", summary: "show what the goroutines are doing, grouped by identical stacks",
		help: "Shows the N largest groups, 20 unless told; -n 0 shows all. The program is not stopped for it:\n" +
			"the goroutine profile needs two pauses far below a millisecond.",
		run: runStacks,
	},
	{
		name: "mem", summary: "show heap, limits and collector, from counters that stop nothing",
		run: noArgs(runMem),
	},
	{
		name: "gc", summary: "run the garbage collector now, and say what it freed",
		help: "It blocks until the collection is complete (runtime.GC), with the program running beside it.",
		run:  noArgs(runGC),
	},
	{
		name: "build", summary: "show how the program was built, and from which modules",
		run: noArgs(runBuild),
	},
	{
		name: "signals", summary: "show the signal masks of the process, and what the program listens to",
		help: "The masks are those of /proc/PID/status (proc(5)); SigBlk is that of the main thread. The Go runtime\n" +
			"catches nearly every signal for itself, so SigCgt says little; the last lines say who listens.",
		run: noArgs(runSignals),
	},
	{
		name: "history", summary: "list the lines of this session",
		run: noArgs(runHistory),
	},
	{
		name: "exit", summary: "leave; so do quit, the end of input (Ctrl-D), and closing the connection",
		run: func(context.Context, *session, []string) error { return errExit },
	},
	{
		name: "quit", summary: "the same as exit",
		run: func(context.Context, *session, []string) error { return errExit },
	},
}

// lookup returns the command of that name, nil if there is none.
func (s *session) lookup(name string) *command {
	for _, cmd := range s.commands {
		if cmd.name == name {
			return cmd
		}
	}
	return nil
}

// noArgs is for commands without arguments: those that come are an error.
func noArgs(run func(context.Context, *session) error) func(context.Context, *session, []string) error {
	return func(ctx context.Context, s *session, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("it takes no arguments, not %q; help tells more", clip(strings.Join(args, " "), 40))
		}
		return run(ctx, s)
	}
}

func (cmd *command) usage() string { return strings.TrimSpace(cmd.name + " " + cmd.args) }

func runHelp(_ context.Context, s *session, args []string) error {
	switch len(args) {
	case 0:
		for _, cmd := range s.commands {
			fmt.Fprintf(s.out, "  %-16s %s\n", cmd.usage(), cmd.summary)
		}
		_, _ = s.out.WriteString("Ctrl-C (byte 0x03) stops a running command, where the client sends it as it is.\n")
		return nil
	case 1:
		cmd := s.lookup(args[0])
		if cmd == nil {
			return fmt.Errorf("no command %q; help without a name lists them", clip(args[0], 40))
		}
		fmt.Fprintf(s.out, "%s\n%s\n", cmd.usage(), cmd.summary)
		if cmd.help != "" {
			fmt.Fprintln(s.out, cmd.help)
		}
		return nil
	}
	return errors.New("help takes one command at a time: help [COMMAND]")
}

func runHistory(_ context.Context, s *session) error {
	s.mu.Lock()
	lines := append([]string(nil), s.history...)
	s.mu.Unlock()
	for i, text := range lines {
		fmt.Fprintf(s.out, "%4d  %s\n", i+1, text)
	}
	return nil
}
