package oneshot

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/gomanhole/oneshot/internal/plaintext"
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
	return fmt.Sprintf("no command %q; help lists them", plaintext.Clip(e.name, 40))
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

// builtins are the commands that every console has, in the order of help.
var builtins = slices.Concat(
	stackCommands, memoryCommands, settingCommands, profileCommands,
	processCommands, descriptorCommands, threadCommands, lookCommands, valueCommands, consoleCommands)

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
			return fmt.Errorf("it takes no arguments, not %q; help tells more", plaintext.Clip(strings.Join(args, " "), 40))
		}
		return run(ctx, s)
	}
}

// label is the command for messages.
func (cmd *Command) label() string {
	return cmp.Or(cmd.Name, "the "+strings.ToLower(cmp.Or(cmd.Args, "line")))
}

func (cmd *Command) usage() string { return strings.TrimSpace(cmd.Name + " " + cmd.Args) }
