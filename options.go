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

	// TriggerFile is a file that opens a window when this process's pid is written
	// to it, for example with echo PID > file (Linux only). If the file is missing
	// it is created with mode 0600. It is an error if another user, except root,
	// owns the file, or if another user may write to it. Several processes may
	// share the file: the process whose pid is written opens its window. Empty: no
	// trigger file.
	TriggerFile string

	// NoReceiver means that the program waits for the signal itself, with Wait or
	// Handle. The package then starts no goroutine that waits for it. With NoReceiver
	// and without a signal, only the methods Oneshot and Activate open the manhole.
	NoReceiver bool

	// SocketPath is the path of the socket while a window is open. %p is replaced
	// by the pid; no other % is accepted. A leading @ means the abstract namespace, which has no files
	// (Linux only). A relative path is relative to the directory in which Install
	// is called. The default is DefaultSocketPath.
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

	// RedirectStderr sends the client a copy of what the program writes to its
	// descriptor 2 while a session lasts, as the command stderr on does. One
	// session at a time can have it. It has these costs:
	//
	//   - Descriptor 2 is then a pipe. If the program writes faster than the pipe is
	//     read, output is lost, in the log as well.
	//   - Output written just before os.Exit (log.Fatal) is lost. A panic is not lost.
	//   - A child that is started meanwhile with the program's standard error keeps
	//     the pipe. It gets EAGAIN when it writes faster than the pipe is read, and
	//     SIGPIPE after the program has ended.
	//   - If the program had set a crash output itself (debug.SetCrashOutput), it must
	//     set it again.
	RedirectStderr bool

	// Authorize decides who may enter. It is called for every client before
	// anything is sent. To refuse the client it returns an error; the text of the
	// error goes to the client and to the log. Other clients wait during the call.
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
	o.Locals = maps.Clone(o.Locals) // the program may keep using its map
	if o.SocketPath == "" {
		o.SocketPath = DefaultSocketPath
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = DefaultConnectTimeout
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
	}{{"ConnectTimeout", o.ConnectTimeout}, {"IdleTimeout", o.IdleTimeout}} {
		if option.value < 0 {
			return fmt.Errorf("oneshot: %s is %v; give a time above 0, or 0 for the default", option.name, option.value)
		}
	}
	return nil
}

// checkSignals returns an error for signals that cannot open a manhole.
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

// checkSignal returns an error for a signal that os/signal cannot deliver, and for
// one that arrives all the time without anybody sending it.
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

// replaceable returns the reason why another user could replace a socket at path,
// or "" if nobody can. A replaced socket lets nobody into the process, but a client
// would talk to the wrong program.
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

// checkLocals returns an error for a name that cannot be typed.
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
	case len(name) > unixsock.MaxPath+1: // such an address needs no NUL at its end
		return fmt.Errorf("oneshot: SocketPath %s has %d bytes; at most %d fit into a socket address", name, len(name), unixsock.MaxPath+1)
	}
	return nil
}

// socketPath replaces %p by the pid and checks that a socket can be created at the
// path.
func socketPath(pattern string, pid int) (string, error) {
	if rest := strings.ReplaceAll(pattern, "%p", ""); strings.Contains(rest, "%") {
		return "", fmt.Errorf("oneshot: SocketPath %q: only %%p is replaced, by the pid; use a path without another %%", pattern)
	}
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

// notice describes the manhole for the client. The path keeps its %p, because the
// pid differs in another pid namespace.
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
