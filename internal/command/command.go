// Package command has the built-in commands of the console, one file for each
// subject. They work against the small interface Session, and know nothing of
// manholes and connections.
package command

import (
	"context"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// Session is what a command sees of the session that runs it.
type Session interface {
	// Write writes to the client, into a buffer that Flush sends.
	io.Writer
	Flush() error
	// Binary reports whether the client takes any bytes as they are.
	Binary() bool
	// Remark sends the client a line that is not part of the answer.
	Remark(text string)
	// Progress sets what a person is told while the command runs.
	Progress(text func(elapsed time.Duration) string)

	// Locals returns the program's values by name; Local returns one of them, and
	// calls a func() any of the program for it.
	Locals() map[string]any
	Local(name string) (value any, ok bool)

	// SwapSnapshot keeps a snapshot for the next dump to be compared with, and
	// returns the one before; nil if there is none.
	SwapSnapshot(*stack.Snapshot) (previous *stack.Snapshot)

	// Listens returns the signals that the program is subscribed to.
	Listens() (sigset.Set, error)
	// Disposition says what a terminating signal does to the program.
	Disposition(syscall.Signal) string
	// IsSignalThread reports whether dir, in /proc/self/task, is that of the thread
	// on which the runtime receives signals.
	IsSignalThread(dir string) bool
}

// Command is a built-in command.
type Command struct {
	Name    string   // the word that is typed
	Args    string   // what follows the name, as help shows it
	Summary string   // the line in the list of commands
	Help    string   // what else there is to know
	Flags   []string // with their dash, for completion
	Words   []string // what the first argument may be, for completion

	// Run runs the command. The context ends when the client interrupts it or goes.
	Run func(ctx context.Context, s Session, args []string) error
}

// All returns all built-in commands, in the order of help.
func All() []*Command {
	return slices.Concat(stackCommands, memoryCommands, settingCommands, profileCommands,
		processCommands, descriptorCommands, threadCommands, lookCommands, valueCommands)
}

// Completions returns every command with its flags and first arguments, for the
// client to complete.
func Completions() []*Command { return slices.Concat(All(), ForSession) }

// ForSession describes the commands that are about the session itself. The
// package that has sessions runs them.
var ForSession = []*Command{
	{
		Name: "help", Args: "[COMMAND]", Summary: "list the commands, or explain one",
	},
	{
		Name: "history", Summary: "list the lines of this session",
	},
	{
		Name: "sessions", Summary: "show who is inside, since when, and what runs there",
	},
	{
		Name: "stderr", Words: []string{"on", "off"}, Args: "[on|off]", Summary: "show here what the program writes to its standard error",
		Help: "Descriptor 2 of the whole process is a pipe until off, or the end of the session; what comes from it goes\n" +
			"here, and to the old descriptor as before. The program never waits: what it writes faster than that is\n" +
			"lost, and so is what it writes just before os.Exit (log.Fatal). A panic is not (debug.SetCrashOutput, which\n" +
			"a program that uses it has to set again). A child that is started meanwhile with the program's standard\n" +
			"error keeps the pipe: it gets EAGAIN when it writes too fast, SIGPIPE when the program has ended.",
	},
	{
		Name: "deactivate", Summary: "end what ActivateOn or Activate has begun: no other client is waited for",
		Help: "This session goes on. A oneshot window is not concerned.",
	},
	{
		Name: "exit", Summary: "leave; so do quit, the end of input (Ctrl-D), and closing the connection",
	},
	{
		Name: "quit", Summary: "the same as exit",
	},
}
