package oneshot

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Defaults of Options.
const (
	DefaultSocketPath     = protocol.DefaultSocketPath
	DefaultConnectTimeout = time.Minute
	DefaultIdleTimeout    = 15 * time.Minute
	DefaultReinstallDelay = 500 * time.Millisecond
)

// Options say how a manhole is opened and who may enter. The zero value is one
// that only Oneshot opens.
type Options struct {
	// OneshotOn is the signal that opens a window for one session, SIGUSR2 as
	// a rule. Nil: no signal does.
	OneshotOn os.Signal

	// ActivateOn is the signal that opens the manhole for one client after
	// another, until it is idle for IdleTimeout or deactivated; see Activate.
	// Nil: no signal does.
	ActivateOn os.Signal

	// TriggerFile opens a window when this process's pid is written into it, as
	// by echo PID > file (Linux). It is made with mode 0600 if it is missing; one
	// that another user owns (but root) or may write is an error. Several
	// processes may share it: the one that is named opens. Empty: none.
	TriggerFile string

	// NoReceiver leaves waiting for the signal to the program, with Wait or
	// Handle, so that no goroutine of the package waits for it.
	NoReceiver bool

	// SocketPath is where the socket stands while a window is open; %p is the
	// pid. A leading @ is the abstract namespace, which has no files (Linux). A
	// relative path is taken from the directory in which Install is called. The
	// default is DefaultSocketPath.
	SocketPath string

	// ConnectTimeout is how long a window stays open for a client. A further
	// signal starts it again. The default is a minute.
	ConnectTimeout time.Duration

	// IdleTimeout is how long a session may be silent, with no command
	// running, before it is ended, and how long an activated manhole waits for
	// a client. The default is 15 minutes.
	IdleTimeout time.Duration

	// Reinstall undoes an earlier Install instead of failing with
	// ErrAlreadyInstalled (manhole's strict=False): its window is closed, its
	// socket removed; its running sessions may finish.
	Reinstall bool

	// ReinstallDelay is how long after such a reinstall no socket is created,
	// nor in an image that was executed in place of one with an open window, nor
	// in a child that was forked without an exec: it may be about to become
	// another program. A signal that comes earlier opens the window when the
	// delay is over. The default is half a second; a negative delay is none.
	ReinstallDelay time.Duration

	// Sigmask is the signals that are blocked on the thread that moves a
	// session's bytes (Linux), so that they go to the program's others. Nil:
	// every signal that may be blocked. Those that the runtime needs and those
	// that end the program never are. Commands do not run on that thread.
	Sigmask *SignalSet

	// Handler serves the clients. Nil: Console. Exec has no prompt; a program
	// may have its own.
	Handler Handler

	// Commands are added to the built-in ones of Console and Exec.
	Commands []Command

	// Locals are values that the console can show (locals, print) and that
	// expressions can use (package eval), by name. They are read while the program
	// runs: what it changes meanwhile should be given as a func() any, which is
	// called each time, takes the program's lock, and returns a copy. Only in
	// that are maps shown: one that is written while it is read ends the program.
	Locals map[string]any

	// RedirectStderr has what the program writes to its descriptor 2 come to the
	// client too while a session lasts, as the command stderr on does. The price:
	// descriptor 2 is then a pipe, in which what comes faster than it is read is
	// lost, for the log as well, and so is what is written just before os.Exit
	// (log.Fatal); a panic is not. A child that is started meanwhile with the
	// program's standard error keeps the pipe: it gets EAGAIN when it writes faster
	// than that, and SIGPIPE when the program has ended. A crash output of the
	// program's own (debug.SetCrashOutput) has to be set again. One session at a
	// time can have it.
	RedirectStderr bool

	// Authorize decides who may enter. It is called for every client, before
	// anything is sent, and refuses by returning an error, whose text the
	// client and the log are given. Other clients wait meanwhile. Nil:
	// SameUserOrRoot.
	Authorize func(Cred) error

	// Logger is told of every window, refusal, session and command. The
	// package never waits for it; a logger that is stuck loses records, which
	// are counted. Nil: slog.Default(). Use slog.New(slog.DiscardHandler) for
	// silence.
	Logger *slog.Logger

	// Terminate says what happens to SIGTERM, SIGINT and SIGHUP while a window
	// is open. The zero value, TerminateAuto, is right for nearly everybody.
	Terminate TerminatePolicy
}

func (o Options) withDefaults() Options {
	o.Locals = maps.Clone(o.Locals) // the program may go on using its map
	if o.SocketPath == "" {
		o.SocketPath = DefaultSocketPath
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.IdleTimeout <= 0 {
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

// checkSignals refuses signals that cannot open a manhole.
func checkSignals(o Options) error {
	if err := checkSignal("OneshotOn", o.OneshotOn); err != nil {
		return err
	}
	if err := checkSignal("ActivateOn", o.ActivateOn); err != nil {
		return err
	}
	if o.OneshotOn != nil && o.OneshotOn == o.ActivateOn {
		return fmt.Errorf("%w: %s", ErrConfigurationConflict, sigset.NameOf(o.OneshotOn))
	}
	return nil
}

// checkSignal refuses what os/signal cannot deliver, and what comes all the
// time by itself.
func checkSignal(option string, sig os.Signal) error {
	if sig == nil {
		return nil
	}
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("oneshot: %s is a %T; give a syscall.Signal such as syscall.SIGUSR2", option, sig)
	}
	if why := sigset.Unusable(s); why != "" {
		return fmt.Errorf("oneshot: %s cannot be %s: %s; use syscall.SIGUSR1 or SIGUSR2", option, sigset.Name(s), why)
	}
	return nil
}

// replaceable says why a socket at path is not safe from other users; empty: it
// is. Who may enter is not decided by that, but to whom a client talks is.
func replaceable(path string) string {
	if unixsock.IsAbstract(path) {
		return ""
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err == nil && info.Mode()&os.ModeSticky == 0 && info.Mode().Perm()&0o002 != 0 {
		return dir + " may be written by everybody and has no sticky bit; chmod +t " + dir
	}
	return ""
}

// checkLocals refuses names that nobody could type.
func checkLocals(locals map[string]any) error {
	for name := range locals {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			return fmt.Errorf("oneshot: Locals: %q cannot be typed as one word; name it otherwise", name)
		}
	}
	return nil
}

// checkAbstract checks a name in the abstract namespace.
func checkAbstract(name string) error {
	switch {
	case runtime.GOOS != "linux":
		return fmt.Errorf("oneshot: SocketPath %s: only Linux has abstract sockets; give the path of a file", name)
	case len(name) < 2 || strings.ContainsRune(name, 0):
		return fmt.Errorf("oneshot: SocketPath %q: the name of an abstract socket is what follows the @", name)
	case len(name) > unixsock.MaxPath+1: // no NUL ends it
		return fmt.Errorf("oneshot: SocketPath %s has %d bytes; at most %d fit into a socket address", name, len(name), unixsock.MaxPath+1)
	}
	return nil
}

// socketPath fills in the pid and checks that a socket can be made there.
func socketPath(pattern string, pid int) (string, error) {
	path := strings.ReplaceAll(pattern, "%p", strconv.Itoa(pid))
	if unixsock.IsAbstract(path) {
		return path, checkAbstract(path)
	}
	if strings.ContainsRune(path, 0) || strings.HasSuffix(path, "/") {
		return "", fmt.Errorf("oneshot: SocketPath %q is not the name of a file", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("oneshot: SocketPath %s: %w", pattern, err)
	}
	if longest := unixsock.MaxPath - len(protocol.TempSuffix(0)); len(path) > longest {
		return "", fmt.Errorf("oneshot: SocketPath %s has %d bytes; at most %d fit into a socket address with the suffix of its temporary name",
			path, len(path), longest)
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case err != nil:
		return "", fmt.Errorf("oneshot: the directory of SocketPath %s: %w; create it or set SocketPath", path, err)
	case !info.IsDir():
		return "", fmt.Errorf("oneshot: SocketPath %s: %s is not a directory", path, dir)
	}
	if err := unixsock.CheckWritable(dir); err != nil {
		return "", fmt.Errorf("oneshot: no socket can be made in %s: %w; set SocketPath to a directory that uid %d may write to",
			dir, err, os.Geteuid())
	}
	return path, nil
}

// notice describes the manhole for the client. The pid is left open in the path, since
// another pid namespace has another.
func (o *Options) notice() notice.Notice {
	n := notice.Notice{Path: o.SocketPath}
	if o.OneshotOn != nil {
		n.Oneshot = sigset.NameOf(o.OneshotOn)
	}
	if o.ActivateOn != nil {
		n.Activate = sigset.NameOf(o.ActivateOn)
	}
	if abs, err := filepath.Abs(o.SocketPath); err == nil && !unixsock.IsAbstract(o.SocketPath) {
		n.Path = abs
	}
	return n
}
