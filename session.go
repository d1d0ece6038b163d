package oneshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// Handler serves the clients that have entered, each on a goroutine of its own.
// Console is the usual one, Exec another; a program may have its own. The context
// ends when the client goes, when Oneshot's does, or when the session is ended
// otherwise; the session ends when Serve returns, with the error in the log. A
// panic ends the session, not the program.
type Handler interface {
	Serve(ctx context.Context, s *Session) error
}

// Session is one authorized connection, as a Handler or one command of it has
// it. Its methods may be called from any goroutine, ReadLine and Run from one at a
// time.
type Session struct {
	*core
	ctx context.Context // of the session, or of the command
	out *output

	fate atomic.Int32 // of the command
}

// What becomes of a command.
const (
	fateLeft     = 1
	fateReturned = 2
)

// maxLeftBehind is how many commands that did not stop may be running still.
const maxLeftBehind = 16

// core is the session itself.
type core struct {
	m      *Manhole
	cred   Cred
	start  time.Time
	conn   *os.File
	in     *input
	script bool          // the client wants frames, see script
	done   chan struct{} // closed when nothing of the session is left
	usage  vitals.Usage  // when the window was opened

	commands []*Command
	ended    bool // it takes the standard error no more; guarded by stderrNow

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc

	mu       sync.Mutex // guards what follows
	busy     bool       // a line has been taken and is not done with
	stopped  bool       // an interrupt came since
	stop     func()     // stops the running command; nil: none runs
	progress func(time.Duration) string
	running  string    // the line that is being run
	since    time.Time // of running
	history  []string
	snapshot *stack.Snapshot // that of the last dump
	kept     map[string]any  // what SetLocal has kept
}

// newSession makes a session for the client that will come.
func (m *Manhole) newSession() *Session {
	c := &core{m: m, done: make(chan struct{}), commands: m.commands}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.in = newInput(c.interrupt, c.begun, func() { c.abort(errGone) })
	w := &wire{timeout: writeTimeout, failed: c.abort}
	return &Session{core: c, ctx: c.ctx, out: &output{wire: w}}
}

// enter takes one of the places for a client that may enter.
func (m *Manhole) enter(s *Session, cred Cred) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.inside) >= maxSessions {
		return fmt.Errorf("%d sessions are open already, the most there can be; leave one and try again", len(m.inside))
	}
	if len(m.inside) == 0 {
		m.left = make(chan struct{})
	}
	s.cred, s.start, s.since = cred, time.Now(), time.Now()
	m.inside = append(m.inside, s.core)
	return nil
}

// begin greets a client that a person has, and hands the socket to the poller
// only then.
func (s *Session) begin(client int) {
	s.script = isScript(client)
	s.out.wire.framed = s.script
	if _, ok := s.handler().(Console); ok {
		_, _ = writeSocket(uintptr(client), s.m.home.Load().greeting) // a new socket has room for it
	}
	s.conn = os.NewFile(uintptr(client), "manhole client")
	s.in.conn, s.out.wire.conn = s.conn, s.conn
}

// handler is who serves the session.
func (c *core) handler() Handler {
	if c.script {
		return script{}
	}
	return c.m.opts.Handler
}

// Cred returns who the client is.
func (s *Session) Cred() Cred { return s.cred }

// Write writes to the client: into a buffer, which ReadLine and Flush send. A
// client that does not make room for 30 seconds is dropped.
func (s *Session) Write(p []byte) (int, error) { return s.out.Write(p) }

// Flush sends what was written.
func (s *Session) Flush() error { return s.out.Flush() }

// Binary reports whether the client takes any bytes as they are: it is a
// script, not a terminal.
func (s *Session) Binary() bool { return s.script }

// ReadLine sends what was written and waits for the next line, which it returns
// without its end and notes in the history and the log. The error is io.EOF when
// there is no more, and any other if the session is to end: but for a line of more
// than 64 KiB, which is an error of its own, after which there may be more.
func (s *Session) ReadLine() (string, error) {
	s.rest()
	if err := s.Flush(); err != nil {
		return "", err
	}
	l, err := s.in.next(s.m.opts.IdleTimeout, s.ctx.Done())
	switch {
	case s.ctx.Err() != nil:
		return "", context.Cause(s.ctx)
	case err != nil:
		return "", err
	case l.tooLong:
		return "", errTooLong
	}
	s.out.typed()
	if strings.TrimSpace(l.text) != "" {
		s.note(l.text)
	}
	return l.text, nil
}

// Run runs a line as the console does, and returns the error of the command,
// io.EOF if it was exit. Nothing happens on a blank line.
func (s *Session) Run(line string) error {
	name := firstWord(line)
	if name == "" {
		return nil
	}
	defer s.setRunning(s.setRunning(printable(line)))
	if cmd := lookup(s.commands, name); cmd != nil {
		words, err := splitWords(line)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return s.do(cmd, words[1:])
	}
	if other := lookup(s.commands, ""); other != nil {
		return s.do(other, []string{line})
	}
	return errNoCommand{name}
}

// Locals returns the program's Locals and what SetLocal has kept, which hides one
// of the program's by the same name.
func (s *Session) Locals() map[string]any {
	all := maps.Clone(s.m.opts.Locals)
	s.mu.Lock()
	defer s.mu.Unlock()
	if all == nil {
		all = make(map[string]any, len(s.kept))
	}
	maps.Copy(all, s.kept)
	return all
}

// Local returns the value of one of Locals. A func() any of the program's is
// called for it, and may panic or take its time.
func (s *Session) Local(name string) (value any, ok bool) {
	s.mu.Lock()
	value, ok = s.kept[name]
	s.mu.Unlock()
	if ok {
		return value, true
	}
	value, ok = s.m.opts.Locals[name]
	if f, isFunc := value.(func() any); isFunc && f != nil {
		value = f()
	}
	return value, ok
}

// maxKept is how many names a session keeps.
const maxKept = 100

// SetLocal keeps a value by a name for the rest of the session, of which there
// may be 100; one more is an error.
func (s *Session) SetLocal(name string, value any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept[name]; !ok && len(s.kept) >= maxKept {
		return fmt.Errorf("%d names are kept already; use one of them for another value", maxKept)
	}
	if s.kept == nil {
		s.kept = make(map[string]any)
	}
	s.kept[name] = value
	return nil
}

func (c *core) setRunning(line string) (before string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.running, c.since = c.running, line, time.Now()
	return before
}

// forget gives the place back.
func (m *Manhole) forget(s *Session) {
	s.cancel(nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inside = slices.DeleteFunc(m.inside, func(c *core) bool { return c == s.core })
	if len(m.inside) == 0 {
		close(m.left)
	}
}

// run serves the client and ends with everything of the session gone, but for
// a command that does not stop.
func (s *Session) run() {
	m := s.m
	m.log.info("session open", "pid", s.cred.PID, "uid", s.cred.UID, "gid", s.cred.GID)
	defer blockSignals(*m.opts.Sigmask)()
	read := make(chan struct{})
	go func() { s.read(read) }()
	err := s.serve()
	s.endStderr()
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
func (s *Session) read(ended chan<- struct{}) {
	defer close(ended)
	s.in.run()
}

// abort ends the session at once, whatever it waits for.
func (c *core) abort(why error) {
	c.cancel(why)
	_ = c.conn.Close()
}

// serve runs the handler. Its fault ends the session, not the program.
func (s *Session) serve() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			s.m.log.error("the session failed", "err", err, "stack", string(debug.Stack()))
		}
	}()
	if s.m.opts.RedirectStderr && !s.script {
		if err := s.redirectStderr(); err != nil {
			fmt.Fprintf(s, "the standard error is not shown here: %v\n", err)
		}
	}
	switch h := s.handler().(type) {
	case Console, Exec, script:
		return h.Serve(s.ctx, s)
	}
	// The program's own may do anything, such as start a child, which would
	// inherit the signal mask of this thread.
	ended := make(chan error, 1)
	own := &Command{Name: "the handler", Run: func(ctx context.Context, s *Session, _ []string) error {
		return s.handler().Serve(ctx, s)
	}}
	go func() { s.perform(s.ctx, own, nil, ended) }()
	return <-ended
}

// do runs one command on a goroutine of its own, where it may panic, block or
// call runtime.Goexit, and returns its error when it has ended or was given up.
func (s *Session) do(cmd *Command, args []string) error {
	if s.m.leftBehind.Load() >= maxLeftBehind && lookup(consoleCommands, cmd.Name) == nil {
		return fmt.Errorf("%s: %d commands that did not stop are running still; none but help, exit and their like is begun", cmd.label(), maxLeftBehind)
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	stop, progress := s.setStop(func() { cancel(errInterrupted) }), s.setProgress(nil)
	defer func() { // for the command that has run this one, if any
		s.setStop(stop)
		s.setProgress(progress)
	}()

	view := &Session{core: s.core, ctx: ctx, out: &output{wire: s.out.wire}}
	ended := make(chan error, 1)
	go func() { view.perform(ctx, cmd, args, ended) }()

	if err, over := view.await(ctx, cmd, ended); over {
		return whyStopped(ctx, err)
	}
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case err := <-ended:
		return whyStopped(ctx, err)
	case <-t.C:
		view.out.cutOff()
		if view.fate.CompareAndSwap(0, fateLeft) {
			s.m.leftBehind.Add(1)
		}
		s.m.log.warn("a command does not stop and was left behind", "command", cmd.label(), "pid", s.cred.PID)
		return fmt.Errorf("%s: %w, but it does not stop; it was left running", cmd.label(), context.Cause(ctx))
	}
}

// whyStopped is the error of a command, which as a rule returns that of its
// context.
func whyStopped(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// await waits for the end of a command, or of its context. To a person it tells
// every now and then that it is still running.
func (s *Session) await(ctx context.Context, cmd *Command, ended <-chan error) (err error, over bool) {
	began := time.Now()
	tick := time.NewTimer(time.Second)
	defer tick.Stop()
	writes := s.out.remark(0, "")
	for {
		select {
		case err := <-ended:
			return err, true
		case <-ctx.Done():
			return nil, false
		case <-tick.C:
		}
		so := time.Since(began).Round(time.Second)
		if s.tells() {
			writes = s.out.remark(writes, s.progressAfter(cmd, so))
		}
		tick.Reset(max(time.Second, (so / 10).Round(time.Second))) // 10 s, 11 s, ... 20 s, 22 s
	}
}

// tells reports whether progress is of interest: there is a person who may type.
func (s *Session) tells() bool {
	_, console := s.handler().(Console)
	return console && !s.in.ended()
}

// progressAfter is what there is to say after such a time.
func (s *Session) progressAfter(cmd *Command, so time.Duration) string {
	s.mu.Lock()
	progress := s.progress
	s.mu.Unlock()
	if progress != nil {
		return progress(so) + "\n"
	}
	return fmt.Sprintf("%s: running for %v\n", cmd.label(), so)
}

// setProgress sets what is said of the running command after a time.
func (c *core) setProgress(progress func(so time.Duration) string) (before func(time.Duration) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.progress = c.progress, progress
	return before
}

// perform is the goroutine of one command.
func (s *Session) perform(ctx context.Context, cmd *Command, args []string, ended chan<- error) {
	err := fmt.Errorf("%s ended its goroutine (runtime.Goexit)", cmd.label())
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", cmd.label(), v, debug.Stack())
		}
		if !s.fate.CompareAndSwap(0, fateReturned) {
			s.m.leftBehind.Add(-1)
		}
		ended <- err
	}()
	err = cmd.Run(ctx, s, args)
}

// setStop sets how the command that begins, or has ended, can be stopped.
func (c *core) setStop(stop func()) (before func()) {
	c.mu.Lock()
	before, c.stop = c.stop, stop
	stopped := c.stopped
	c.mu.Unlock()
	if stop != nil && stopped { // between the line's arrival and now
		stop()
	}
	return before
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
	if stop == nil && !busy && c.script {
		c.in.end() // there is no prompt to start again at
		return true
	}
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

// escapeControls is s without what could do harm to a terminal.
func escapeControls(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == '\n' || r == '\t' || r != utf8.RuneError && unicode.IsPrint(r) {
			b.WriteString(s[i : i+size])
		} else {
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		i += size
	}
	return b.String()
}

// clip shortens s to about max bytes, between two characters.
func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "") + "..."
}
