// Package command implements the built-in commands of the console, one file for
// each subject. The commands use the small interface Session. They do not depend
// on manholes or connections.
package command

import (
	"context"
	"errors"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// Session is the part of a console session that a command can use.
type Session interface {
	// Write writes to the client. The output is buffered until Flush.
	io.Writer
	// Flush sends the buffered output to the client.
	Flush() error
	// Binary reports whether the client accepts arbitrary bytes unchanged.
	Binary() bool
	// Base sends a part of a profile that the client subtracts from the output. Only
	// a client for which Binary is true can do that.
	Base(p []byte) error
	// Remark sends the client a line that is not part of the answer.
	Remark(text string)
	// Progress sets the function that makes the progress line. A person sees that
	// line while the command runs.
	Progress(text func(elapsed time.Duration) string)

	// Process returns the process that the commands show.
	Process() *procfs.Process

	// Changed notes a setting of the program that the command has changed. The session
	// shows at its end what has not been put back.
	Changed(Change)

	// Locals returns the program's values by name. A func() any returns a copy of
	// the value.
	Locals() map[string]any

	// Given returns what the program has given for the commands.
	Given() Given

	// SwapSnapshot keeps a snapshot, so that the next dump can be compared with it.
	// It returns the previous snapshot, or nil if there is none.
	SwapSnapshot(*stack.Snapshot) (previous *stack.Snapshot)

	// Listens returns the signals that the program is subscribed to.
	Listens() (sigset.Set, error)
	// Hears reports whether a signal may wake a goroutine of the program.
	Hears() bool
	// Disposition says what a terminating signal does to the program.
	Disposition(syscall.Signal) string
	// IsSignalThread reports whether dir, a directory in /proc/PID/task, belongs to
	// the thread on which the runtime receives signals.
	IsSignalThread(dir string) bool
}

// Given is what a program has given for the commands (Options).
type Given struct {
	Sections       map[string]func(ctx context.Context, w io.Writer) error
	FlightRecorder io.WriterTo // nil: none
}

// ErrInterrupted is the cause of the end of a command's context if the client has
// interrupted the command.
var ErrInterrupted = errors.New("interrupted")

// interrupted reports whether the client has interrupted a command.
func interrupted(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), ErrInterrupted)
}

// Command is a built-in command.
type Command struct {
	Name    string   // the word that the user types
	Args    string   // the arguments, as help shows them
	Summary string   // the line in the list of commands
	Help    string   // the text that help NAME adds to the summary
	Flags   []string // with the dash, for completion
	Words   []string // possible first arguments, for completion
	Partial bool     // after an interrupt it delivers what it has, which the session waits for

	// Run runs the command. The context ends when the client interrupts the command
	// or disconnects.
	Run func(ctx context.Context, s Session, args []string) error

	// complete returns what an argument can be, if only the process knows it. See
	// Candidates. It may be nil.
	complete func(s Session, before []string, word string) []string
}

// All returns all built-in commands, in the order in which help lists them.
func All() []*Command {
	return slices.Concat([]*Command{screenCommand}, stackCommands, leakCommands, memoryCommands, settingCommands, profileCommands,
		processCommands, descriptorCommands, threadCommands, lookCommands, valueCommands, sectionCommands)
}

// Completions returns all commands, with their flags and first arguments. The
// client uses them for completion.
func Completions() []*Command { return slices.Concat(All(), ForSession) }

// ForSession describes the commands that act on the session itself. They have no
// Run: the package that implements sessions runs them.
var ForSession = []*Command{
	{
		Name: "help", Args: "[COMMAND]", Summary: "list the commands, or explain one",
		Help: "help NAME says what the command does, and which flags it has." + jsonHelp, Flags: []string{jsonFlag},
	},
	{
		Name: "history", Summary: "list the lines of this session",
		Help: "They are numbered from the beginning of the session." + jsonHelp, Flags: []string{jsonFlag},
	},
	{
		Name: "sessions", Args: "[-end N]", Summary: "list the sessions: client, start, and running command", Flags: []string{"-end", jsonFlag},
		Help: "The star marks this session.\n  -end N  end the session with that number, if it is of the same user or you are root" + jsonHelp,
	},
	{
		Name: "stderr", Words: []string{"on", "off"}, Args: "[on|off]", Summary: "show here what the program writes to its standard error",
		Help: "Until stderr off, or the end of the session, descriptor 2 of the process is a pipe. What the program writes to\n" +
			"it comes here, and goes to the old descriptor as well. The program never waits: if it writes faster than the\n" +
			"pipe is read, output is lost. Output just before os.Exit (log.Fatal) is lost too. A panic is not lost\n" +
			"(debug.SetCrashOutput; a program that uses it must set it again). A child that is started meanwhile with the\n" +
			"program's standard error keeps the pipe. It gets EAGAIN when it writes too fast, and SIGPIPE after the program\n" +
			"has ended.",
	},
	{
		Name: "deactivate", Summary: "close the door that ActivateOn or Activate has opened",
		Help:  "No other client can enter after that. This session goes on. A window of OneshotOn is not closed." + jsonHelp,
		Flags: []string{jsonFlag},
	},
	{
		Name: "exit", Summary: "leave; so do quit, the end of input (Ctrl-D), and closing the connection",
	},
	{
		Name: "quit", Summary: "the same as exit",
	},
}
