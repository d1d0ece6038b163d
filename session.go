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
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// maxSessions is how many may be inside at a time. A stuck session must not
// lock the next person out; a loop of them must not fill the program.
const maxSessions = 8

// stopGrace is how long a command that was told to stop may take before the
// session goes on without it.
const stopGrace = time.Second

// Why a session or a command was stopped.
var (
	errInterrupted = errors.New("interrupted")
	errGone        = errors.New("the client has gone")
)

// session is one authorized connection, as one command of it sees it.
type session struct {
	*core
	out *output
}

// core is the session itself.
type core struct {
	m     *Manhole
	cred  Cred
	start time.Time
	conn  *os.File
	in    *input
	done  chan struct{} // closed when nothing of the session is left
	usage vitals.Usage  // when the window was opened

	commands []*command

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards what follows
	busy    bool       // a line has been taken and is not done with
	stopped bool       // an interrupt came since
	stop    func()     // stops the running command; nil: none runs
	history []string
	// snapshot is that of the last dump.
	snapshot *stack.Snapshot
}

// newSession makes a session for the client that will come.
func (m *Manhole) newSession() *session {
	c := &core{m: m, done: make(chan struct{}), commands: builtins}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.in = newInput(c.interrupt, c.begun, func() { c.abort(errGone) })
	w := &wire{timeout: writeTimeout, failed: c.abort}
	return &session{core: c, out: &output{wire: w}}
}

// enter takes one of the places for a client that may enter.
func (m *Manhole) enter(s *session, cred Cred) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inside >= maxSessions {
		return fmt.Errorf("%d sessions are open already, the most there can be; leave one and try again", m.inside)
	}
	if m.inside == 0 {
		m.left = make(chan struct{})
	}
	m.inside++
	s.cred, s.start = cred, time.Now()
	return nil
}

// begin greets the client, and hands its socket to the poller only then.
func (s *session) begin(client int) {
	_, _ = writeSocket(uintptr(client), s.m.home.Load().greeting) // a new socket has room for it
	s.conn = os.NewFile(uintptr(client), "manhole client")
	s.in.conn, s.out.wire.conn = s.conn, s.conn
}

// forget gives the place back.
func (m *Manhole) forget(s *session) {
	s.cancel(nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inside--; m.inside == 0 {
		close(m.left)
	}
}

// run serves the client and ends with everything of the session gone, but for
// a command that does not stop.
func (s *session) run() {
	m := s.m
	m.log.info("session open", "pid", s.cred.PID, "uid", s.cred.UID, "gid", s.cred.GID)
	defer blockSignals(*m.opts.Sigmask)()
	read := make(chan struct{})
	go func() { s.read(read) }()
	err := s.serve()
	if err == nil {
		err = s.out.Flush()
	}
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	}
	s.out.cutOff()
	s.abort(err)
	<-read
	args := []any{"pid", s.cred.PID, "uid", s.cred.UID, "duration", time.Since(s.start).Round(time.Millisecond)}
	if err != nil {
		args = append(args, "reason", err)
	}
	m.log.info("session closed", args...)
	m.forget(s)
	close(s.done)
}

// read is the goroutine that reads from the client.
func (s *session) read(ended chan<- struct{}) {
	defer close(ended)
	s.in.run()
}

// abort ends the session at once, whatever it waits for.
func (c *core) abort(why error) {
	c.cancel(why)
	_ = c.conn.Close()
}

// serve runs the console. A fault of our own ends the session, not the program.
func (s *session) serve() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			s.m.log.error("the session failed", "err", err, "stack", string(debug.Stack()))
		}
	}()
	return console{}.serve(s)
}

// do runs one command on a goroutine of its own, where it may panic, block or
// call runtime.Goexit, and returns its error when it has ended or was given up.
func (s *session) do(cmd *command, args []string) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.setStop(func() { cancel(errInterrupted) })
	defer s.setStop(nil)

	view := &session{core: s.core, out: &output{wire: s.out.wire}}
	ended := make(chan error, 1)
	go func() { view.perform(ctx, cmd, args, ended) }()

	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case err := <-ended:
		if errors.Is(err, context.Canceled) {
			err = context.Cause(ctx)
		}
		return err
	case <-t.C:
		view.out.cutOff()
		s.m.log.warn("a command does not stop and was left behind", "command", cmd.name, "pid", s.cred.PID)
		return fmt.Errorf("%s: %w, but it does not stop; it was left running", cmd.name, context.Cause(ctx))
	}
}

// perform is the goroutine of one command.
func (s *session) perform(ctx context.Context, cmd *command, args []string, ended chan<- error) {
	err := fmt.Errorf("%s ended its goroutine (runtime.Goexit)", cmd.name)
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", cmd.name, v, debug.Stack())
		}
		ended <- err
	}()
	err = cmd.run(ctx, s, args)
}

// setStop sets how the command that begins, or has ended, can be stopped.
func (c *core) setStop(stop func()) {
	c.mu.Lock()
	c.stop = stop
	stopped := c.stopped
	c.mu.Unlock()
	if stop != nil && stopped { // between the line's arrival and now
		stop()
	}
}

// begun notes that there is a line to be run, rest that it is done with.
func (c *core) begun() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stopped = true, false
}

func (c *core) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stopped = false, false
}

// interrupt stops the running command; false if there is none.
func (c *core) interrupt() bool {
	c.mu.Lock()
	stop, busy := c.stop, c.busy
	c.stopped = true
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	return stop != nil || busy
}

// note puts a command line into the history and the log.
func (c *core) note(text string) {
	text = printable(text)
	c.m.log.info("command", "line", clip(text, 200), "pid", c.cred.PID, "uid", c.cred.UID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.history) == maxHistory {
		c.history = c.history[1:]
	}
	c.history = append(c.history, clip(text, maxHistoryLine))
}

// What a session remembers of its lines.
const (
	maxHistory     = 500
	maxHistoryLine = 1 << 10
)

// printable is s if a terminal can show it without harm, quoted if not.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// clip shortens s to about max bytes, between two characters.
func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "") + "..."
}
