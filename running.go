package oneshot

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/timers"
	"github.com/gomanhole/oneshot/internal/values"
)

// This file: how a session runs one command and stops it.

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

// do runs one command on its own goroutine, because the command may panic, block or
// call runtime.Goexit. do returns the command's error, or an error if the command
// does not stop.
func (s *Session) do(cmd *Command, args []string) error {
	if s.host.abandoned.Load() >= maxAbandoned && consoleRuns[cmd.Name] == nil {
		return fmt.Errorf("%s: %d commands that did not stop are still running; until one of them ends, only commands such as help and exit can be used", cmd.label(), maxAbandoned)
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	stop, progress := s.setStop(func() { cancel(errInterrupted) }), s.setProgress(nil)
	defer func() { // restore those of the command that ran this one, if any
		s.setStop(stop)
		s.setProgress(progress)
	}()

	view := &Session{core: s.core, ctx: ctx, out: s.out.View(), finish: s.finish}
	ended := make(chan error, 1)
	ours.Go(func() { view.perform(cmd, args, ended) })
	s.logLine()

	if err, over := view.await(cmd, ended); over {
		return whyStopped(ctx, err)
	}
	return view.giveTime(cmd, ended)
}

// giveTime waits stopGrace for a command whose context was canceled. If the command
// does not return, giveTime leaves it running. It waits longer for an interrupted
// command that delivers what it has, and as long as the client takes it.
func (s *Session) giveTime(cmd *Command, ended <-chan error) error {
	grace := stopGrace
	partial := cmd.partial && errors.Is(context.Cause(s.ctx), errInterrupted)
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
	s.host.log.Warn("a command does not stop and was left running", "command", cmd.label(), "client_pid", s.cred.PID)
	return fmt.Errorf("%s: %w, but it does not stop; it was left running", cmd.label(), context.Cause(s.ctx))
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
func (s *Session) await(cmd *Command, ended <-chan error) (err error, over bool) {
	began := time.Now()
	tick := timers.New(time.Second)
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
		elapsed := time.Since(began).Round(time.Second)
		if s.showsProgress() {
			writes = s.out.Progress(writes, s.progressAfter(cmd, elapsed))
		}
		tick.Reset(time.Second)
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
		switch {
		case !s.state.CompareAndSwap(0, commandReturned):
			s.host.abandoned.Add(-1)
		case err == nil && finish != nil:
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
