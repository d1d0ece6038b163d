package oneshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// Command is a command of the console: a built-in one, or one of the program's
// own (Options.Commands).
type Command struct {
	// Name is the word that is typed.
	Name string

	// Fallback makes this the command for every line whose first word is no command;
	// its one argument is the whole line. There is one such command at most, and it
	// needs no name. Package eval has one.
	Fallback bool

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

// isA reports whether err is or wraps an error of type E. errors.As would do; it
// needs reflection, which is linked for it alone.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// errNoCommand is for a line that is no command.
type errNoCommand struct{ name string }

func (e errNoCommand) Error() string {
	return fmt.Sprintf("no command %q; help lists them", plaintext.Clip(e.name, 40))
}

// allCommands is the built-in commands and the program's own.
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

// fallback returns the command for every other line, nil if there is none.
func fallback(commands []*Command) *Command {
	for _, cmd := range commands {
		if cmd.Fallback {
			return cmd
		}
	}
	return nil
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

// label is the command for messages.
func (cmd *Command) label() string {
	return cmp.Or(cmd.Name, "the "+strings.ToLower(cmp.Or(cmd.Args, "line")))
}

func (cmd *Command) usage() string { return strings.TrimSpace(cmd.Name + " " + cmd.Args) }

// builtins returns the commands that every console has, in the order of help.
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

// firstScreen is what a person sees first. It runs as a command does.
var firstScreen = Command{
	Name: "stacks",
	Run: func(ctx context.Context, s *Session, _ []string) error {
		return command.FirstScreen(ctx, view{s}, s.usage)
	},
}

// view is a session as the built-in commands see it.
type view struct{ *Session }

// Remark sends the client a line that is not part of the answer.
func (v view) Remark(text string) {
	if v.script {
		v.out.Frame(protocol.Error, text+"\n")
		return
	}
	fmt.Fprintln(v, text)
	_ = v.Flush() // the session notices a client that has gone
}

// Progress sets what a person is told while the command runs.
func (v view) Progress(text func(elapsed time.Duration) string) { v.setProgress(text) }

// SwapSnapshot keeps a snapshot for the next dump to be compared with, and returns
// the one before.
func (v view) SwapSnapshot(s *stack.Snapshot) (previous *stack.Snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	previous, v.snapshot = v.snapshot, s
	return previous
}

// Listens returns the signals that the program is subscribed to.
func (v view) Listens() (sigset.Set, error) { return v.m.oracle.Listens() }

// Disposition says what a terminating signal does to the program.
func (v view) Disposition(sig syscall.Signal) string { return v.m.whoHas(sig) }

// IsSignalThread reports whether dir, in /proc/self/task, is that of the thread on
// which the runtime receives signals.
func (v view) IsSignalThread(dir string) bool { return v.m.oracle.IsThread(dir) }

// LevelCommand is a command for Options.Commands, loglevel [LEVEL], that shows
// and sets the level of the program's log. Levels are typed as slog prints them,
// in small letters too (debug, INFO+2), or as numbers (-4). The LevelVar is the
// one in the slog.HandlerOptions of the program's handler; with a nil one the
// command is an error.
func LevelCommand(lv *slog.LevelVar) Command {
	level := command.Setting{
		Command: "loglevel", What: "log level",
		Read: func() string { return lv.Level().String() },
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
		Help: "LEVEL is debug, info, warn or error, one of them with a distance such as info+2, or a number: -4 is debug.",
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
