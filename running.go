package oneshot

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/shellwords"
	"github.com/gomanhole/oneshot/internal/timers"
	"github.com/gomanhole/oneshot/internal/values"
)

// This file: how a session runs one line, that is one command, notes it, and stops it.

// stopGrace is how long the session waits for a command to return after its context
// was canceled. Then the session continues without it.
const stopGrace = time.Second

// partialGrace is the same for an interrupted command that still delivers what it has.
const partialGrace = 10 * time.Second

// The states of a command. At first the state is 0.
const (
	commandAbandoned = 1 // it was left running
	commandReturned  = 2
)

// maxAbandoned is how many commands that did not stop may still be running.
const maxAbandoned = 16

// Run runs a line as the console does and returns the error of the command. For the
// command exit the error is io.EOF (errors.Is). A blank line does nothing.
func (s *Session) Run(line string) error {
	name := shellwords.First(line)
	if name == "" {
		return nil
	}
	defer s.setRunning(s.setRunning(plaintext.Line(line)))
	cmd, args, err := s.parse(line)
	if err != nil {
		return err
	}
	return s.do(cmd, args)
}

// parse returns the command of a line that is not blank, and its arguments.
func (s *Session) parse(line string) (*Command, []string, error) {
	name := shellwords.First(line)
	if cmd := lookup(s.host.commands, name); cmd != nil {
		words, err := shellwords.Split(line)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		return cmd, words[1:], nil
	}
	if other := fallback(s.host.commands); other != nil {
		return other, []string{line}, nil
	}
	return nil, nil, errNoCommand{name}
}

// started is a command that has been started.
type started struct {
	cmd *Command
	at  time.Time
}

// do runs one command on its own goroutine, because the command may panic, block or
// call runtime.Goexit. do returns the command's error, or an error if the command
// does not stop.
func (s *Session) do(cmd *Command, args []string) error {
	return s.doNext(func(*Session) (*Command, []string, error) { return cmd, args, nil })
}

// doNext is do for the command that next returns. It calls next on the goroutine of the
// command, so that next may wait for a line of the client: no other goroutine then has to
// be woken or started, for which the client would wait. An error of next is returned.
func (s *Session) doNext(next func(view *Session) (*Command, []string, error)) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.mu.Lock()
	stop, progress := s.stop, s.progress
	s.mu.Unlock()
	defer func() { // restore those of the command that ran this one, if any
		s.setStop(stop)
		s.setProgress(progress)
	}()

	view := &Session{core: s.core, ctx: ctx, out: s.out.View(), finish: s.finish}
	ended := make(chan error, 1)
	ours.Go(func() {
		cmd, args, err := next(view)
		if err == nil && view.host.abandoned.Load() >= maxAbandoned && consoleRuns[cmd.Name] == nil {
			err = fmt.Errorf("%s: %d commands that did not stop are still running; until one of them ends, only commands such as help and exit can be used", cmd.label(), maxAbandoned)
		}
		if err != nil {
			view.returned()
			ended <- err
			return
		}
		view.started.Store(&started{cmd, time.Now()})
		view.setStop(func() { cancel(errInterrupted) })
		view.setProgress(nil)
		view.perform(cmd, args, ended)
	})
	if err, over := view.await(ended); over {
		return whyStopped(ctx, err)
	}
	return view.giveTime(ended)
}

// giveTime waits stopGrace for a command whose context was canceled. If the command
// does not return, giveTime leaves it running. It waits longer for an interrupted
// command that delivers what it has, and as long as the client takes it.
func (s *Session) giveTime(ended <-chan error) error {
	grace := stopGrace
	began := s.started.Load()
	partial := began != nil && began.cmd.partial && errors.Is(context.Cause(s.ctx), errInterrupted)
	if partial {
		grace = partialGrace
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	for writes := uint64(0); ; {
		select {
		case err := <-ended:
			return whyStopped(s.ctx, err)
		case <-t.C:
		}
		now := s.out.Writes()
		if !partial || now == writes {
			break
		}
		writes = now // the client still takes the answer
		t.Reset(grace)
	}
	s.out.CutOff()
	if !s.state.CompareAndSwap(0, commandAbandoned) { // it has returned just now
		return whyStopped(s.ctx, <-ended)
	}
	s.host.abandoned.Add(1)
	label := "the next line" // its goroutine had no CPU
	if began = s.started.Load(); began != nil {
		label = began.cmd.label()
	}
	s.host.log.Warn("a command does not stop and was left running", "command", label, "client_pid", s.cred.PID)
	return fmt.Errorf("%s: %w, but it does not stop; it was left running", label, context.Cause(s.ctx))
}

// whyStopped returns the error of a command. If the command returned the error of
// its canceled context, as most do, whyStopped returns the cause instead.
func whyStopped(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// await waits until a command or its context ends. It shows a person from time to
// time that the command is still running.
func (s *Session) await(ended <-chan error) (err error, over bool) {
	every := time.Second
	if !s.showsProgress() {
		every = time.Hour // nothing is to be done
	}
	tick := timers.New(every)
	defer tick.Stop()
	writes := s.out.Writes()
	for {
		select {
		case err := <-ended:
			return err, true
		case <-s.ctx.Done():
			return nil, false
		case <-tick.C:
		}
		if began := s.started.Load(); began != nil && s.showsProgress() {
			writes = s.out.Progress(writes, s.progressAfter(began.cmd, time.Since(began.at).Round(time.Second)))
		}
		tick.Reset(every)
	}
}

// showsProgress reports whether to show progress: only a person who can still type sees it, or
// one whose client has asked for it.
func (s *Session) showsProgress() bool {
	return (isConsole(s.handler()) || s.wishes.Progress) && !s.in.Ended()
}

// progressAfter returns the progress text after the command has run for that
// time.
func (s *Session) progressAfter(cmd *Command, elapsed time.Duration) string {
	s.mu.Lock()
	progress := s.progress
	s.mu.Unlock()
	if progress != nil {
		return progress(elapsed)
	}
	return fmt.Sprintf("%s: running for %v", cmd.label(), elapsed)
}

// setProgress sets the function that describes the progress of the running command.
// It returns the previous function.
func (c *core) setProgress(progress func(elapsed time.Duration) string) (before func(time.Duration) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.progress = c.progress, progress
	return before
}

// perform runs one command. It is the goroutine of the command.
func (s *Session) perform(cmd *Command, args []string, ended chan<- error) {
	finish := s.finish
	s.finish = nil // it is not for the commands that this one runs
	err := fmt.Errorf("%s ended its goroutine (runtime.Goexit)", cmd.label())
	defer func() {
		if s.returned() && err == nil && finish != nil {
			finish()
		}
		ended <- err
	}()
	defer func() { // apart from the above, since the text of a panic may be made by the program's code
		if v := recover(); v != nil {
			stack := debug.Stack()
			err = fmt.Errorf("%s panicked\n%s", cmd.label(), stack) // if Failure does not return (runtime.Goexit)
			err = fmt.Errorf("%s panicked: %s\n%s", cmd.label(), values.Failure(v), stack)
		}
	}()
	failed := cmd.Run(s.ctx, s, args)
	err = values.Contain(failed)
}

// returned records that the goroutine of a command ends. It returns false if the session
// has left it running, and goes on without it.
func (s *Session) returned() bool {
	if s.state.CompareAndSwap(0, commandReturned) {
		return true
	}
	s.host.abandoned.Add(-1)
	return false
}

// setStop sets the function that stops the running command and returns the previous
// function. It is called when a command begins and when it has ended.
func (c *core) setStop(stop func()) (before func()) {
	c.mu.Lock()
	before, c.stop = c.stop, stop
	stopped := c.stopped
	c.mu.Unlock()
	if stop != nil && stopped { // the interrupt arrived after the line and before now
		stop()
	}
	return before
}

// lineBegun records that a line is being run.
func (c *core) lineBegun() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stopped = true, false
}

// lineEnded records that no line is being run. A script sends one line. If its interrupt
// arrived before that line was read, the interrupt is kept.
func (c *core) lineEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stopped = false, c.stopped && c.script
}

// interrupt stops the running command. It returns false if there is none.
func (c *core) interrupt() bool {
	c.mu.Lock()
	stop, busy := c.stop, c.busy
	c.stopped = true
	c.mu.Unlock()
	if stop == nil && !busy && c.script {
		c.in.End() // a script has no prompt to return to
		return true
	}
	if stop != nil {
		stop()
	}
	return stop != nil || busy
}

func (c *core) setRunning(line string) (before string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.running, c.since = c.running, line, time.Now()
	return before
}

// note adds a command line to the history, and keeps it for logLine. What oneshot top sends
// every second is there only once.
func (c *core) note(text string) {
	text = plaintext.Line(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(protocol.Looks, text) && slices.Contains(c.history, text) {
		return
	}
	c.unlogged = text
	if len(c.history) == maxHistory {
		c.history = c.history[1:]
	}
	c.history = append(c.history, plaintext.Clip(text, maxHistoryLine))
}

// logLine logs the last line, if it was not logged yet.
func (c *core) logLine() {
	c.mu.Lock()
	defer c.mu.Unlock() // meanwhile the record is queued, so that no later one gets before it
	if c.unlogged != "" {
		c.host.log.Info("command", "line", plaintext.Clip(c.unlogged, 200), "client_pid", c.cred.PID, "client_uid", c.cred.UID)
		c.unlogged = ""
	}
}

// Limits of a session's history: the number of lines and the length of a line.
const (
	maxHistory     = 500
	maxHistoryLine = 1 << 10
)
