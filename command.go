package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Command is a command of the console: a built-in one, or one of the program's
// own (Options.Commands).
type Command struct {
	// Name is the word that is typed. A command of the program without a name
	// is run for lines whose first word is no command; its one argument is the
	// whole line, as package eval has it.
	Name string

	// Args is what follows the name, as help shows it: [-n N] [REGEXP].
	Args string

	// Summary is the line of help, Help what else there is to know. It may be
	// empty.
	Summary, Help string

	// Run runs the command, on a goroutine of its own. Sessions may run it at
	// the same time. The arguments are split as a shell does quotes. What it
	// writes to s goes to the client; its error is shown, a panic is shown with
	// its stack, and the session goes on. The context ends when the client
	// interrupts the command or goes; a command that has not returned a second
	// later is left running, and what it writes then is lost.
	Run func(ctx context.Context, s *Session, args []string) error
}

// errExit is how a command ends the session.
var errExit = fmt.Errorf("exit: %w", io.EOF)

// errNoCommand is for a line that is no command.
type errNoCommand struct{ name string }

func (e errNoCommand) Error() string {
	return fmt.Sprintf("no command %q; help lists them", clip(e.name, 40))
}

// allCommands is the built-in commands and the program's own.
func allCommands(own []Command) ([]*Command, error) {
	all := slices.Clone(builtins)
	for i := range own {
		cmd := &own[i]
		switch {
		case cmd.Run == nil:
			return nil, fmt.Errorf("oneshot: Commands: %q has no Run", cmd.Name)
		case strings.ContainsFunc(cmd.Name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
			return nil, fmt.Errorf("oneshot: Commands: %q cannot be typed as one word", cmd.Name)
		case lookup(all, cmd.Name) != nil:
			return nil, fmt.Errorf("oneshot: Commands: there is a command %q already; choose another name", cmd.Name)
		}
		all = append(all, cmd)
	}
	return all, nil
}

// builtins is the table of the commands, in the order of help.
var builtins = []*Command{
	{
		Name: "help", Args: "[COMMAND]", Summary: "list the commands, or explain one",
		Run: runHelp,
	},
	{
		Name: "stacks", Args: "[FLAGS] [REGEXP]", Summary: "show what the goroutines are doing, grouped by identical stacks",
		Help: "Shows what stands out, and the largest groups: of all goroutines, or of those with a function or\n" +
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
		Run: runStacks,
	},
	{
		Name: "goroutine", Args: "[-force] ID", Summary: "show one goroutine, by its id",
		Help: "Ids stand in the groups of small programs and in stacks -full. Finding one stops the program as long as\n" +
			"stacks -go does, and wants -force where that is over a second.",
		Run: runGoroutine,
	},
	{
		Name: "mem", Summary: "show heap, limits and collector, from counters that stop nothing",
		Run: noArgs(runMem),
	},
	{
		Name: "gc", Summary: "run the garbage collector now, and say what it freed",
		Help: "It blocks until the collection is complete (runtime.GC), with the program running beside it.",
		Run:  noArgs(runGC),
	},
	{
		Name: "build", Summary: "show how the program was built, and from which modules",
		Run: noArgs(runBuild),
	},
	{
		Name: "signals", Summary: "show the signal masks of the process, and what the program listens to",
		Help: "The masks are those of /proc/PID/status (proc(5)); SigBlk is that of the main thread. The Go runtime\n" +
			"catches nearly every signal for itself, so SigCgt says little; the last lines say who listens.",
		Run: noArgs(runSignals),
	},
	{
		Name: "history", Summary: "list the lines of this session",
		Run: noArgs(runHistory),
	},
	{
		Name: "deactivate", Summary: "end what ActivateOn or Activate has begun: no other client is waited for",
		Help: "This session goes on. A oneshot window is not concerned.",
		Run:  noArgs(runDeactivate),
	},
	{
		Name: "exit", Summary: "leave; so do quit, the end of input (Ctrl-D), and closing the connection",
		Run: func(context.Context, *Session, []string) error { return errExit },
	},
	{
		Name: "quit", Summary: "the same as exit",
		Run: func(context.Context, *Session, []string) error { return errExit },
	},
}

// lookup returns the command of that name, nil if there is none.
func lookup(commands []*Command, name string) *Command {
	for _, cmd := range commands {
		if cmd.Name == name {
			return cmd
		}
	}
	return nil
}

// noArgs is for commands without arguments: those that come are an error.
func noArgs(run func(context.Context, *Session) error) func(context.Context, *Session, []string) error {
	return func(ctx context.Context, s *Session, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("it takes no arguments, not %q; help tells more", clip(strings.Join(args, " "), 40))
		}
		return run(ctx, s)
	}
}

func (cmd *Command) usage() string { return strings.TrimSpace(cmd.Name + " " + cmd.Args) }

func runHelp(_ context.Context, s *Session, args []string) error {
	switch len(args) {
	case 0:
		for _, cmd := range s.commands {
			fmt.Fprintf(s.out, "  %-24s %s\n", cmd.usage(), cmd.Summary)
		}
		_, _ = s.out.WriteString("Ctrl-C (byte 0x03) stops a running command, where the client sends it as it is.\n")
		return nil
	case 1:
		cmd := lookup(s.commands, args[0])
		if cmd == nil {
			return fmt.Errorf("no command %q; help without a name lists them", clip(args[0], 40))
		}
		fmt.Fprintf(s.out, "%s\n%s\n", cmd.usage(), cmd.Summary)
		if cmd.Help != "" {
			fmt.Fprintln(s.out, cmd.Help)
		}
		return nil
	}
	return errors.New("help takes one command at a time: help [COMMAND]")
}

func runDeactivate(_ context.Context, s *Session) error {
	a := s.m.endActivation()
	if a == nil {
		return errors.New("deactivate: the manhole is not active")
	}
	<-a.ended
	_, err := s.out.WriteString("deactivated; this session may go on\n")
	return err
}

func runHistory(_ context.Context, s *Session) error {
	s.mu.Lock()
	lines := append([]string(nil), s.history...)
	s.mu.Unlock()
	for i, text := range lines {
		fmt.Fprintf(s.out, "%4d  %s\n", i+1, text)
	}
	return nil
}
