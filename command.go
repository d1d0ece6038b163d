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
		name: "stacks", args: "[FLAGS] [REGEXP]", summary: "show what the goroutines are doing, grouped by identical stacks",
		help: "Shows what stands out, and the largest groups: of all goroutines, or of those with a function or\n" +
			"file:line that REGEXP matches. The program is not stopped for it: the goroutine profile needs pauses far\n" +
			"below a millisecond. Up to 500 goroutines are looked at one by one, which stops it for a millisecond or two.\n" +
			"  -n N       the N largest groups; 20 unless told, 0 for all\n" +
			"  -state S   those that wait for S, such as chan or sync.Mutex.Lock; runnable is what runs or could\n" +
			"  -diff      what grew and shrank since this session's dump before, largest growth first\n" +
			"  -full      ids, minutes waited and what started them in large programs too; stops the program once\n" +
			"  -go        the runtime's own text, as a panic has it; stops the program once\n" +
			"  -pprof     the goroutine profile for go tool pprof; it is binary, so with -o\n" +
			"  -o FILE    into a new file of mode 0600\n" +
			"  -force     even if the program is stopped for more than a second",
		run: runStacks,
	},
	{
		name: "goroutine", args: "[-force] ID", summary: "show one goroutine, by its id",
		help: "Ids stand in the groups of small programs and in stacks -full. Finding one stops the program as long as\n" +
			"stacks -go does, and wants -force where that is over a second.",
		run: runGoroutine,
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
		name: "deactivate", summary: "end what ActivateOn or Activate has begun: no other client is waited for",
		help: "This session goes on. A oneshot window is not concerned.",
		run:  noArgs(runDeactivate),
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
			fmt.Fprintf(s.out, "  %-24s %s\n", cmd.usage(), cmd.summary)
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

func runDeactivate(_ context.Context, s *session) error {
	a := s.m.endActivation()
	if a == nil {
		return errors.New("deactivate: the manhole is not active")
	}
	<-a.ended
	_, err := s.out.WriteString("deactivated; this session may go on\n")
	return err
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
