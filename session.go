package oneshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/asynclog"
	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/stderrpipe"
	"github.com/gomanhole/oneshot/internal/threadroom"
	"github.com/gomanhole/oneshot/internal/unixsock"
	"github.com/gomanhole/oneshot/internal/values"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// maxSessions is the maximum number of sessions at a time. One stuck session must
// not keep the next person out, and a client that connects in a loop must not fill
// the program.
const maxSessions = 8

// The reasons for which a session or a command is stopped.
var (
	errInterrupted = command.ErrInterrupted
	errGone        = errors.New("the client has gone")
)

// Handler serves the clients that have entered, each on its own goroutine. Console
// is the default and Exec is another; a program may have its own.
//
// The context ends when the client disconnects, when the context of Oneshot ends,
// or when the session is ended for another reason. The session ends when Serve
// returns; the error is logged. If Serve does not return, the session ends one
// second after the context. A panic ends the session, not the program.
type Handler interface {
	Serve(ctx context.Context, s *Session) error
}

// Session is one authorized connection, as a Handler or a command sees it. Its
// methods may be called from any goroutine, but ReadLine and Run only from one
// goroutine at a time.
type Session struct {
	*core
	ctx context.Context // see Context
	out *clientio.Output

	started atomic.Pointer[started] // the command; nil: it has not begun
	state   atomic.Int32            // of the command: 0, commandAbandoned or commandReturned
	finish  func()                  // ends the answer of a script's command that has succeeded; nil: the session does so
}

// host is what a session needs of its manhole. Tests make one without a manhole.
type host struct {
	opts     Options // with the defaults filled in
	commands []*Command
	log      asynclog.Log
	oracle   *sigthread.Oracle

	greeting    func() []byte               // returns the first line of the banner
	uptime      func() time.Duration        // returns 0 if that is not known
	hears       func() bool                 // reports whether the program may be subscribed to a signal
	disposition func(syscall.Signal) string // describes what receives a terminating signal
	deactivate  func() bool                 // returns false if the manhole is not active

	sessions   sessionList
	abandoned  atomic.Int32 // number of commands that did not stop and are still running
	asking     atomic.Int32 // number of calls of Authorize that have not returned
	dismissals clientio.Dismissals
}

// set sets the options, and what follows from them.
func (h *host) set(o Options) (err error) {
	h.opts, h.log = o.withDefaults(), asynclog.Log{Logger: o.Logger}
	h.commands, err = allCommands(o.Commands)
	return err
}

// core is the part of a session that all its Session values share.
type core struct {
	host     *host
	cred     Cred
	number   int // counts the sessions of the manhole, from 1
	start    time.Time
	conn     *os.File
	pid      int // of the process that has accepted conn
	in       *clientio.Input
	script   bool            // the client wants frames; see the type script
	answered atomic.Bool     // a script has the whole answer to its only line
	wishes   protocol.Wishes // how it wants them
	done     chan struct{}   // closed when the session has ended completely
	usage    vitals.Usage    // resource usage when the window was opened

	stderr stderrpipe.Holder
	cancel context.CancelCauseFunc // ends the context of the session

	mu       sync.Mutex // guards what follows
	busy     bool       // a line is being run
	stopped  bool       // an interrupt has arrived since then
	stop     func()     // stops the running command; nil: no command runs
	progress func(time.Duration) string
	running  string    // the line that is being run; empty: none
	since    time.Time // when running was set
	history  []string
	unlogged string           // the last line, until logLine
	snapshot *stack.Snapshot  // the snapshot of the last dump
	kept     map[string]any   // the values of SetLocal
	changes  []command.Change // the settings that commands have changed and not put back
}

// newSession creates a session for a client that has not connected yet.
func newSession(h *host) *Session {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &core{host: h, done: make(chan struct{}), cancel: cancel}
	c.in = clientio.NewInput(c.interrupt, c.lineBegun, func() { c.abort(errGone) })
	return &Session{core: c, ctx: ctx, out: clientio.NewOutput(clientio.WriteTimeout, c.abort)}
}

// begin starts the session of a connected client. It greets a client that is used
// by a person first, and hands the socket to the poller after that.
func (s *Session) begin(client int) {
	wishes, isScript := framesFor(client)
	s.beginAs(client, wishes, isScript)
}

// beginAs is begin for a client of which it is known what it wants.
func (s *Session) beginAs(client int, wishes protocol.Wishes, isScript bool) {
	s.wishes, s.script = wishes, isScript
	if isConsole(s.handler()) {
		_, _ = unixsock.Write(uintptr(client), s.host.greeting()) // a new socket has room for the greeting
	}
	s.conn, s.pid = os.NewFile(uintptr(client), "manhole client"), os.Getpid()
	s.in.Connect(s.conn)
	s.out.Connect(s.conn, s.script)
	s.stderr = stderrpipe.Holder{PID: s.cred.PID, Out: s.out}
}

// commandHandler is a handler that runs the console's commands: Console, Exec, and
// handlers of a program that embed one of them.
type commandHandler interface {
	Handler
	// forPeople reports whether the output is for a person.
	forPeople() bool
}

func isConsole(h Handler) bool {
	c, ok := h.(commandHandler)
	return ok && c.forPeople()
}

// handler returns the handler that serves the session.
func (c *core) handler() Handler {
	if c.script {
		return script{}
	}
	return c.host.opts.Handler
}

// Context returns the context of the session. In a command it is the command's own
// context, which is derived from that of the session, and which Run has as its
// first parameter.
func (s *Session) Context() context.Context { return s.ctx }

// until returns the same session with the context ctx, which also ends with the
// session's. A handler of the program may call Serve of Console or Exec with a
// context of its own. The function release must be called in the end.
func (s *Session) until(ctx context.Context) (_ *Session, release func()) {
	if ctx == s.ctx {
		return s, func() {}
	}
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return &Session{core: s.core, ctx: both, out: s.out}, func() {
		stop()
		cancel(nil)
	}
}

// Cred returns the process, user and group of the client.
func (s *Session) Cred() Cred { return s.cred }

// Write appends to a buffer for the client. ReadLine and Flush send the buffer. A
// client that does not make room for 30 seconds is disconnected.
func (s *Session) Write(p []byte) (int, error) { return s.out.Write(p) }

// Flush sends what has been written.
func (s *Session) Flush() error { return s.out.Flush() }

// Binary reports whether the client accepts arbitrary bytes: it is a script, and its
// output is not a terminal.
func (s *Session) Binary() bool { return s.script && !s.wishes.Text }

// ReadLine sends what has been written, waits for the next line, and returns it
// without its line end. The line is added to the history and the log. ReadLine
// returns io.EOF at the end of the input. For a line of more than 64 KiB it returns
// ErrLineTooLong, and the next line can be read. Any other error ends the session.
func (s *Session) ReadLine() (string, error) {
	defer s.logLine()
	return s.nextLine()
}

// nextLine is ReadLine without the log: logLine adds the line to it.
func (s *Session) nextLine() (string, error) {
	var l clientio.Line
	for query := true; query; {
		s.lineEnded()
		if err := s.Flush(); err != nil {
			return "", err
		}
		var err error
		l, err = s.in.Next(s.host.opts.IdleTimeout, s.ctx.Done())
		switch {
		case s.ctx.Err() != nil:
			return "", context.Cause(s.ctx)
		case err != nil:
			return "", err
		case l.TooLong:
			return "", ErrLineTooLong
		}
		query = s.answerQuery(l.Text)
	}
	s.out.Typed()
	if strings.TrimSpace(l.Text) != "" {
		s.note(l.Text)
	}
	return l.Text, nil
}

// run serves the client. When it returns, everything of the session has ended,
// except a command that does not stop.
func (s *Session) run() {
	log := &s.host.log
	log.Info("session open", "client_pid", s.cred.PID, "client_uid", s.cred.UID, "client_gid", s.cred.GID)
	err := threadroom.Check()
	if err == nil {
		defer blockSignals(sigset.Set(*s.host.opts.Sigmask))()
	}
	read := make(chan struct{})
	ours.Go(func() { s.read(read) })
	if err == nil {
		err = s.serve()
	} else {
		s.sayWhy(err, read)
	}
	stderrpipe.End(&s.stderr)
	if by, ok := context.Cause(s.ctx).(endedBy); ok && !s.script {
		fmt.Fprintf(s.out, "\nthe session was ended: %v\n", by)
	}
	if flushed := s.out.Flush(); err == nil {
		err = flushed
	}
	if cause := context.Cause(s.ctx); cause != nil && !(s.answered.Load() && errors.Is(cause, errGone)) {
		err = cause
	}
	s.out.CutOff()
	s.abort(err)
	<-read
	args := []any{"client_pid", s.cred.PID, "client_uid", s.cred.UID, "duration", time.Since(s.start).Round(time.Millisecond)}
	if err != nil {
		args = append(args, "reason", err)
	}
	log.Info("session closed", args...)
	for _, c := range s.changed() {
		log.Info("the session has left a setting changed", "setting", c.What, "is", c.After, "was", c.Before, "client_pid", s.cred.PID)
	}
	s.forget()
	close(s.done)
}

// sayWhy sends the client the reason why it is not served. As in dismiss, the
// client gets a moment to send its input.
func (s *Session) sayWhy(err error, read <-chan struct{}) {
	text := fmt.Sprintf("%s%v\n", protocol.Refused, err)
	if s.script {
		s.out.Frame(protocol.Error, text)
		s.out.Frame(protocol.End, strconv.Itoa(statusFailed))
	} else {
		_, _ = s.out.WriteString(text)
	}
	_ = s.Flush()
	t := time.NewTimer(clientio.DismissTime)
	defer t.Stop()
	select {
	case <-read:
	case <-t.C:
	}
}

// read is the goroutine that reads from the client.
func (s *Session) read(ended chan<- struct{}) {
	defer close(ended)
	s.in.Run()
}

// abort ends the session at once, no matter what it is waiting for.
func (c *core) abort(why error) {
	c.cancel(why)
	hangUp(c.conn, c.pid)
}

// hangUp closes the connection of a client that this process, or the process from
// which it was forked without exec, has accepted. The forked one leaves the connection
// to its parent.
func hangUp(conn *os.File, acceptedBy int) {
	if os.Getpid() == acceptedBy {
		unixsock.HangUp(conn)
	} else {
		_ = conn.Close()
	}
}

// serve runs the handler. A panic of the handler ends the session, not the program.
func (s *Session) serve() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("panic: " + values.Failure(v))
			s.host.log.Error("the session failed", "err", err, "stack", string(debug.Stack()))
		}
	}()
	if s.host.opts.RedirectStderr && !s.script {
		if err := stderrpipe.Take(&s.stderr); err != nil {
			fmt.Fprintf(s, "the standard error is not shown here: %v\n", err)
		}
	}
	switch h := s.handler().(type) {
	case Console, *Console, Exec, *Exec, script:
		return h.Serve(s.ctx, s)
	}
	// A handler of the program may do anything. It may start a child, which would
	// inherit the signal mask of this thread. It may also fail to return when it
	// should. So it runs on its own goroutine.
	if s.host.abandoned.Load() >= maxAbandoned {
		return fmt.Errorf("%d sessions that did not end are still running; no other can begin", maxAbandoned)
	}
	ended := make(chan error, 1)
	cmd := &Command{Name: "the handler", Run: func(ctx context.Context, s *Session, _ []string) error {
		return s.handler().Serve(ctx, s)
	}}
	s.started.Store(&started{cmd, time.Now()})
	ours.Go(func() { s.perform(cmd, nil, ended) })
	select {
	case err := <-ended:
		return err
	case <-s.ctx.Done():
		return s.giveTime(ended)
	}
}
