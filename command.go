package oneshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/plaintext"
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
}

// errExit is the error with which a command ends the session.
var errExit = fmt.Errorf("exit: %w", io.EOF)

// isA reports whether err is or wraps an error of type E. errors.As would do the
// same, but it needs reflection, which would be linked into the program only for
// this.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// errNoCommand is the error for a line whose first word is not a command.
type errNoCommand struct{ name string }

func (e errNoCommand) Error() string {
	return fmt.Sprintf("no command %q; help lists them", plaintext.Clip(e.name, 40))
}

// allCommands returns the built-in commands and the program's own.
func allCommands(own []Command) ([]*Command, error) {
	all := builtins()
	for i := range own {
		cmd := &own[i]
		switch {
		case cmd.Run == nil:
			return nil, fmt.Errorf("oneshot: Commands: %q has no Run", cmd.Name)
		case cmd.Fallback && fallback(all) != nil:
			return nil, errors.New("oneshot: Commands: two of them are a Fallback; only one command can have the lines that are no command")
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
			Name: b.Name, Args: b.Args, Summary: b.Summary, Help: b.Help,
			Run: func(ctx context.Context, s *Session, args []string) error { return b.Run(ctx, view{s}, args) },
		})
	}
	return append(all, consoleCommands()...)
}

// consoleCommands returns the commands that are about the session itself.
func consoleCommands() []*Command {
	var all []*Command
	for _, b := range command.ForSession {
		all = append(all, &Command{Name: b.Name, Args: b.Args, Summary: b.Summary, Help: b.Help, Run: consoleRuns[b.Name]})
	}
	return all
}

// firstScreen prints what a person sees first. It runs like any command.
var firstScreen = Command{
	Name: "stacks",
	Run: func(ctx context.Context, s *Session, _ []string) error {
		return command.FirstScreen(ctx, view{s}, s.usage)
	},
}

// view is a session as the built-in commands see it.
type view struct{ *Session }

// Remark sends the client a line that is not part of the command's output.
func (v view) Remark(text string) {
	if v.script {
		v.out.Frame(protocol.Error, text+"\n")
		return
	}
	fmt.Fprintln(v, text)
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
// that was left behind may still change one.
func (c *core) changed() []command.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

// Listens returns the signals that the program is subscribed to.
func (v view) Listens() (sigset.Set, error) { return v.host.oracle.Listens() }

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
	level := command.Setting{
		Command: "loglevel", What: "log level",
		Read:  func() string { return lv.Level().String() },
		Value: func() string { return lv.Level().String() },
		Set: func(value string) error {
			l, err := parseLevel(value)
			if err == nil {
				lv.Set(l)
			}
			return err
		},
	}
	return Command{
		Name: "loglevel", Args: "[LEVEL]", Summary: "show or set from which level on the program logs",
		Help: "LEVEL is debug, info, warn or error, one of them with a distance such as info+2, or a number: -4 is debug.\n" +
			"  -for TIME  only for that time, such as 10m; then the old level is set again, unless it was changed meanwhile",
		Run: func(ctx context.Context, s *Session, args []string) error {
			if lv == nil {
				return errors.New("loglevel: the program has no level to set; give LevelCommand the LevelVar of its handler")
			}
			return level.Run(ctx, view{s}, args)
		},
	}
}

func parseLevel(value string) (l slog.Level, err error) {
	if n, err := strconv.Atoi(value); err == nil {
		return slog.Level(n), nil
	}
	if err := l.UnmarshalText([]byte(value)); err != nil {
		return 0, fmt.Errorf("%q: give debug, info, warn, error, INFO+2 or a number", plaintext.Clip(value, 40))
	}
	return l, nil
}
