package oneshot

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
)

// Default values of Options.
const (
	DefaultSocketPath     = protocol.DefaultSocketPath
	DefaultConnectTimeout = time.Minute
	DefaultIdleTimeout    = 15 * time.Minute
	DefaultReinstallDelay = 500 * time.Millisecond
)

// Options configure how a manhole is opened and who may enter. With zero Options,
// SIGUSR2 opens a window.
type Options struct {
	// OneshotOn is the signal that opens a window for one session, usually SIGUSR2.
	// Nil: SIGUSR2, if neither ActivateOn nor TriggerFile nor NoReceiver is set;
	// otherwise no signal opens one.
	OneshotOn os.Signal

	// ActivateOn is the signal that opens the manhole for one client after another,
	// until it has been idle for IdleTimeout or is deactivated; see Activate. Nil:
	// no signal does that.
	ActivateOn os.Signal

	// ReportOn is a signal that writes a report to the log, for an image in which
	// nobody can connect: what the first screen of a session shows, at most 64 KiB, one
	// record for each line. There is one report in ten seconds; further signals are
	// counted, or not listened to if there are many. If ReportOn is OneshotOn, the signal
	// opens a window, and the report is written if nobody has entered within ReportAfter.
	// Nil: no signal does that.
	ReportOn os.Signal

	// ReportAfter is how long the report waits for a client if ReportOn is OneshotOn.
	// The window stays open. The default, also for longer times, is ConnectTimeout.
	ReportAfter time.Duration

	// ReportDir is a directory. If it is not empty, a report is not written to the log,
	// but to a new file there, with mode 0600; the log has its name. The last 20 files
	// of a process are kept. ReportStderr writes reports to standard error.
	ReportDir    string
	ReportStderr bool

	// ShutdownReport is a time, for example 20 seconds. If the process is still there so
	// long after SIGTERM or SIGINT has come, a report says where main and the other
	// goroutines are. There is no timer before the signal. With NoReceiver, the signal
	// (or SIGQUIT) counts when Wait returns it, or Handle gets it. In any other case the
	// package must see a signal that it is not subscribed to: this needs Linux on amd64
	// or arm64, Go's own signal handler, and TerminateAuto. Zero: no report.
	ShutdownReport time.Duration

	// TriggerFile is a file that opens a window when this process's pid is written
	// to it, for example with echo PID > file (Linux only). The word report behind the
	// pid ("PID report") writes a report instead. If the file is missing
	// it is created with mode 0600. It is an error if another user, except root,
	// owns the file, or if another user may write to it. Several processes may
	// share the file: the process whose pid is written opens its window. Empty: no
	// trigger file.
	TriggerFile string

	// NoReceiver means that the program waits for the signal itself, with Wait or
	// Handle. The package then starts no goroutine that waits for it. With NoReceiver
	// and without a signal, only the methods Oneshot and Activate open the manhole. Until
	// the program calls Wait, or Handle with a signal, that signal opens nothing: Install
	// logs this.
	NoReceiver bool

	// SocketPath is the path of the socket while a window is open. %p is replaced
	// by the pid; no other % is accepted. A leading @ means the abstract namespace, which has no files
	// (Linux only). A relative path is relative to the directory in which Install
	// is called. The default is DefaultSocketPath. If no socket can be made in its
	// directory, because there is no /tmp or it is read-only, the default is
	// /dev/shm/manhole-%p, and if that is not possible either, @manhole-%p.
	SocketPath string

	// ConnectTimeout is how long a window stays open for a client. Another signal
	// restarts the timeout. The default is one minute.
	ConnectTimeout time.Duration

	// IdleTimeout is how long a session may receive nothing while no command runs;
	// then it is ended. It is also how long an activated manhole waits for a
	// client. The default is 15 minutes.
	IdleTimeout time.Duration

	// Reinstall replaces an earlier manhole instead of failing with
	// ErrAlreadyInstalled (manhole's strict=False). The earlier window is closed
	// and its socket removed. Sessions that are running may finish.
	Reinstall bool

	// ReinstallDelay postpones the first window in three cases: after a Reinstall,
	// after the process has executed itself (exec) with a window open, and in a
	// child that was forked without exec. Such a process may be about to execute
	// another program. A signal that arrives during the delay opens the window when
	// the delay is over. The default is half a second. A negative value means no
	// delay.
	ReinstallDelay time.Duration

	// Sigmask is the set of signals that are blocked on the thread that reads and
	// writes a session's bytes (Linux only). The kernel then delivers them to other
	// threads of the program. Nil: every signal that may be blocked. Signals that
	// the runtime needs and signals that end the program are never blocked.
	// Commands do not run on that thread.
	Sigmask *SignalSet

	// Handler serves the clients. Nil: Console. Exec has no prompt. A program may
	// have its own Handler.
	Handler Handler

	// Commands are added to the built-in ones of Console and Exec.
	Commands []Command

	// Locals are named values for the console (commands locals and print) and for
	// expressions (package eval). Give each as a func() any. It is called for each
	// use, takes the program's lock, and returns a copy, or a value that needs no
	// lock. What it returns is shown whole, and its methods are called.
	//
	// The program may be writing any other value while it is read. Therefore only the
	// value itself is shown, and the numbers, booleans and pointers behind its
	// pointers. No method is called, and strings, interfaces, slices and maps are not
	// read: they may be half old and half new, and using them can end the program.
	// The flag -racy of print and of expressions reads them all the same.
	Locals map[string]any

	// Sections are the program's own parts of a bundle (oneshot bundle), by name; the command
	// sections lists them and shows one. Each function writes one file, from its own
	// goroutine. When ctx ends, it should return.
	Sections map[string]func(ctx context.Context, w io.Writer) error

	// FlightRecorder is the program's own *trace.FlightRecorder (runtime/trace), or anything
	// else that writes an execution trace. The command trace -last writes what it has. The
	// program starts it and stops it. Nil: none.
	FlightRecorder io.WriterTo

	// RedirectStderr sends the client a copy of what the program writes to its
	// descriptor 2 while a session lasts, as the command stderr on does. One
	// session at a time can have it. It has these costs:
	//
	//   - Descriptor 2 is then a pipe of 1 MiB. A client that does not read misses
	//     output, but the log does not. If the program writes faster than the pipe is
	//     read, or the log does not take it, output is lost in the log as well.
	//   - Output written just before os.Exit (log.Fatal) is lost. A panic is not lost.
	//   - A child that is started meanwhile with the program's standard error keeps
	//     the pipe. It gets EAGAIN when it writes faster than the pipe is read, which
	//     nobody does after the program has ended.
	//   - The same holds for a program that this one executes in its own place
	//     (syscall.Exec): what it writes there is lost. On systems other than Linux,
	//     and without /proc, both get SIGPIPE.
	//   - If the program had set a crash output itself (debug.SetCrashOutput), it must
	//     set it again.
	RedirectStderr bool

	// Authorize decides who may enter. It is called for every client before
	// anything is sent. To refuse the client it returns an error; the text of the
	// error goes to the client and to the log. Other clients wait during the call.
	// If it does not return, the wait ends when the client goes or the window is
	// shut, and the client does not enter.
	// Nil: SameUserOrRoot.
	Authorize func(Cred) error

	// Logger receives a record for every window, refusal, session and command. The
	// package never waits for it. If a logger is stuck, records are dropped and
	// counted. Nil: slog.Default(). For no log, use slog.New(slog.DiscardHandler).
	Logger *slog.Logger

	// Terminate says what happens to SIGTERM, SIGINT and SIGHUP while a window is
	// open. The zero value, TerminateAuto, is right for almost every program.
	Terminate TerminatePolicy
}

func (o Options) withDefaults() Options {
	if o.OneshotOn == nil && o.ActivateOn == nil && o.TriggerFile == "" && !o.NoReceiver {
		if usr2, err := sigset.Parse("USR2"); err == nil { // package syscall has no SIGUSR2 on Windows
			o.OneshotOn = usr2
		}
	}
	o.Locals, o.Sections = maps.Clone(o.Locals), maps.Clone(o.Sections) // the program may keep using its maps
	if o.SocketPath == "" {
		o.SocketPath = DefaultSocketPath
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.ReportAfter == 0 {
		o.ReportAfter = o.ConnectTimeout
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.Handler == nil {
		o.Handler = Console{}
	}
	if o.Sigmask == nil {
		every := ^SignalSet(0)
		o.Sigmask = &every
	}
	if o.ReinstallDelay == 0 {
		o.ReinstallDelay = DefaultReinstallDelay
	}
	return o
}

// checkTimes returns an error for negative times.
func checkTimes(o Options) error {
	for _, option := range []struct {
		name  string
		value time.Duration
	}{{"ConnectTimeout", o.ConnectTimeout}, {"IdleTimeout", o.IdleTimeout}, {"ReportAfter", o.ReportAfter}, {"ShutdownReport", o.ShutdownReport}} {
		if option.value < 0 {
			return fmt.Errorf("oneshot: %s is %v; give a time above 0, or 0 for the default", option.name, option.value)
		}
	}
	return nil
}
