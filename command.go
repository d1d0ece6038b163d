package oneshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// Command is a command of the console: a built-in command, or one of the program's
// own (Options.Commands).
type Command struct {
	// Name is the word that the user types.
	Name string

	// Fallback makes this the command for every line whose first word is not the
	// name of a command. Its only argument is the whole line. There can be only one
	// such command, and it needs no Name. Package eval has one.
	Fallback bool

	// Args describes the arguments, as help shows them: [-n N] [REGEXP].
	Args string

	// Summary is one line for the list of commands in help. Help is any further
	// text for help NAME. Both may be empty.
	Summary, Help string

	// Run runs the command, on its own goroutine. Several sessions may run it at
	// the same time. Arguments are split at spaces, and quotes work as in a shell.
	// What Run writes to s goes to the client. Its error is shown to the client. A
	// panic is shown with its stack, and the session continues.
	//
	// The context ends when the client interrupts the command or disconnects. If
	// the command has not returned one second later, it is left running, and what
	// it writes after that is lost.
	Run func(ctx context.Context, s *Session, args []string) error

	partial bool // after an interrupt it delivers what it has

	// candidates returns what an argument can be; before are the words before it. It
	// may be nil.
	candidates func(s *Session, before []string, word string) []string
}

// errExit is the error with which a command ends the session.
var errExit = fmt.Errorf("exit: %w", io.EOF)

// errNoCommand is the error for a line whose first word is not a command.
type errNoCommand struct{ name string }

func (e errNoCommand) Error() string {
	return fmt.Sprintf("no command %q; help lists them", plaintext.Clip(e.name, 40))
}

// Is reports whether target is an errNoCommand for any line. With errors.Is it does
// what errors.As does, which needs reflection that no other code may need.
func (e errNoCommand) Is(target error) bool {
	_, ok := target.(errNoCommand)
	return ok
}

// allCommands returns the built-in commands and the program's own.
func allCommands(added []Command) ([]*Command, error) {
	all := builtins()
	for i := range added {
		cmd := &added[i]
		switch {
		case cmd.Run == nil:
			return nil, fmt.Errorf("oneshot: Commands: %q has no Run", cmd.Name)
		case cmd.Fallback && fallback(all) != nil:
			return nil, errors.New("oneshot: Commands: two of them are a Fallback; there can be only one")
		case cmd.Name == "" && cmd.Fallback:
		case cmd.Name == "":
			return nil, errors.New("oneshot: Commands: one of them has no Name; only a Fallback needs none")
		case strings.ContainsFunc(cmd.Name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
			return nil, fmt.Errorf("oneshot: Commands: %q cannot be typed as one word", cmd.Name)
		case lookup(all, cmd.Name) != nil:
			return nil, fmt.Errorf("oneshot: Commands: there is a command %q already; choose another name", cmd.Name)
		}
		all = append(all, cmd)
	}
	return all, nil
}

// fallback returns the Fallback command, or nil if there is none.
func fallback(commands []*Command) *Command {
	for _, cmd := range commands {
		if cmd.Fallback {
			return cmd
		}
	}
	return nil
}

// lookup returns the command with that name, or nil if there is none.
func lookup(commands []*Command, name string) *Command {
	for _, cmd := range commands {
		if cmd.Name == name {
			return cmd
		}
	}
	return nil
}

// label returns a name of the command for messages.
func (cmd *Command) label() string {
	return cmp.Or(cmd.Name, "the "+strings.ToLower(cmp.Or(cmd.Args, "line")))
}

func (cmd *Command) usage() string { return strings.TrimSpace(cmd.Name + " " + cmd.Args) }

// builtins returns the commands of every console, in the order of help.
func builtins() []*Command {
	var all []*Command
	for _, b := range command.All() {
		all = append(all, &Command{
			Name: b.Name, Args: b.Args, Summary: b.Summary, Help: b.Help, partial: b.Partial,
			Run:        func(ctx context.Context, s *Session, args []string) error { return b.Run(ctx, view{s}, args) },
			candidates: candidatesOf(b),
		})
	}
	return append(all, consoleCommands()...)
}

func candidatesOf(b *command.Command) func(*Session, []string, string) []string {
	return func(s *Session, before []string, word string) []string { return b.Candidates(view{s}, before, word) }
}

// consoleCommands returns the commands that are about the session itself.
func consoleCommands() []*Command {
	var all []*Command
	for _, b := range command.ForSession {
		all = append(all, &Command{
			Name: b.Name, Args: b.Args, Summary: b.Summary, Help: b.Help, Run: consoleRuns[b.Name],
			candidates: candidatesOf(b),
		})
	}
	return all
}

// firstScreen returns the command that prints what a person sees first. If all is true,
// it shows as much as stacks does.
func firstScreen(all bool) *Command {
	return &Command{Name: "stacks", Run: func(ctx context.Context, s *Session, _ []string) error {
		return command.FirstScreen(ctx, view{s}, s.usage, all)
	}}
}

// view is a session as the built-in commands see it.
type view struct{ *Session }

// Base sends a part of a profile that the client subtracts from the output.
func (v view) Base(p []byte) error {
	v.out.Frame(protocol.Base, string(p))
	return v.Flush()
}

// Remark sends the client a line that is not part of the command's output.
func (v view) Remark(text string) {
	if v.script {
		v.out.Frame(protocol.Error, text+"\n")
	} else {
		fmt.Fprintln(v, text)
	}
	_ = v.Flush() // the session notices if the client has disconnected
}

// Progress sets the function that describes the progress to a person while the
// command runs.
func (v view) Progress(text func(elapsed time.Duration) string) { v.setProgress(text) }

// SwapSnapshot keeps a snapshot to compare the next dump with, and returns the
// previous one.
func (v view) SwapSnapshot(s *stack.Snapshot) (previous *stack.Snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	previous, v.snapshot = v.snapshot, s
	return previous
}

// Given returns what the program has given for the commands.
func (v view) Given() command.Given {
	return command.Given{Sections: v.host.opts.Sections, FlightRecorder: v.host.opts.FlightRecorder}
}

// Process returns this process.
func (view) Process() *procfs.Process { return procfs.Self() }

// Changed notes a setting of the program that a command has changed.
func (v view) Changed(c command.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.IndexFunc(v.changes, func(old command.Change) bool { return old.What == c.What })
	if i < 0 {
		v.changes = append(v.changes, c)
		return
	}
	if v.changes[i].After = c.After; c.After == v.changes[i].Before { // it was put back
		v.changes = slices.Delete(v.changes, i, i+1)
	}
}

// changed returns the settings that commands have changed and not put back. A command
// that was left running may still change one.
func (c *core) changed() []command.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

// Listens returns the signals that the program is subscribed to.
func (v view) Listens() (sigset.Set, error) { return v.host.oracle.Listens() }

// Hears reports whether a signal may wake a goroutine of the program.
func (v view) Hears() bool { return v.host.hears() }

// Disposition describes what a terminating signal does to the program.
func (v view) Disposition(sig syscall.Signal) string { return v.host.disposition(sig) }

// IsSignalThread reports whether dir, a directory in /proc/self/task, belongs to
// the thread on which the runtime receives signals.
func (v view) IsSignalThread(dir string) bool { return v.host.oracle.IsThread(dir) }

// LevelCommand returns the command loglevel [LEVEL] for Options.Commands. It shows
// and sets the level of the program's log. A level is typed as slog prints it, in
// upper or lower case (debug, INFO+2), or as a number (-4). Pass the LevelVar that
// the slog.HandlerOptions of the program's handler use. If lv is nil, the command
// returns an error.
func LevelCommand(lv *slog.LevelVar) Command {
	level := command.LogLevel(lv)
	return Command{
		Name: "loglevel", Args: "[LEVEL]", Summary: "show or set from which level on the program logs",
		Help: "LEVEL is debug, info, warn or error, one of them with a distance such as info+2, or a number: -4 is debug.\n" +
			"  -for TIME  only for that time, such as 10m; then the old level is set again, unless it was changed meanwhile",
		candidates: func(*Session, []string, string) []string { return []string{"debug", "info", "warn", "error", "-for"} },
		Run: func(ctx context.Context, s *Session, args []string) error {
			if lv == nil {
				return errors.New("loglevel: the program has no level to set; give LevelCommand the LevelVar of its handler")
			}
			return level.Run(ctx, view{s}, args)
		},
	}
}
