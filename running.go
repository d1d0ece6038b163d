package oneshot

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/values"
)

// This file: how a session runs one command and stops it.

// stopGrace is how long the session waits for a command to return after its context
// was canceled. Then the session continues without it.
const stopGrace = time.Second

// The fate of a command.
const (
	fateLeft     = 1
	fateReturned = 2
)

// maxLeftBehind is how many commands that did not stop may still be running.
const maxLeftBehind = 16

// do runs one command on its own goroutine, because the command may panic, block or
// call runtime.Goexit. do returns the command's error, or an error if the command
// does not stop.
func (s *Session) do(cmd *Command, args []string) error {
	if s.host.leftBehind.Load() >= maxLeftBehind && consoleRuns[cmd.Name] == nil {
		return fmt.Errorf("%s: %d commands that did not stop are running still; none but help, exit and their like is begun", cmd.label(), maxLeftBehind)
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	stop, progress := s.setStop(func() { cancel(errInterrupted) }), s.setProgress(nil)
	defer func() { // restore those of the command that ran this one, if any
		s.setStop(stop)
		s.setProgress(progress)
	}()

	view := &Session{core: s.core, ctx: ctx, out: s.out.View()}
	ended := make(chan error, 1)
	ours.Go(func() { view.perform(cmd, args, ended) })

	if err, over := view.await(cmd, ended); over {
		return whyStopped(ctx, err)
	}
	return view.giveTime(cmd, ended)
}

// giveTime waits stopGrace for a command whose context was canceled. If the command
// does not return, giveTime leaves it running.
func (s *Session) giveTime(cmd *Command, ended <-chan error) error {
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case err := <-ended:
		return whyStopped(s.ctx, err)
	case <-t.C:
		s.out.CutOff()
		if s.fate.CompareAndSwap(0, fateLeft) {
			s.host.leftBehind.Add(1)
		}
		s.host.log.Warn("a command does not stop and was left behind", "command", cmd.label(), "client_pid", s.cred.PID)
		return fmt.Errorf("%s: %w, but it does not stop; it was left running", cmd.label(), context.Cause(s.ctx))
	}
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
	tick := time.NewTimer(time.Second)
	defer tick.Stop()
	writes := s.out.Remark(0, "")
	for {
		select {
		case err := <-ended:
			return err, true
		case <-s.ctx.Done():
			return nil, false
		case <-tick.C:
		}
		so := time.Since(began).Round(time.Second)
		if s.tells() {
			writes = s.out.Remark(writes, s.progressAfter(cmd, so))
		}
		tick.Reset(max(time.Second, (so / 10).Round(time.Second))) // 10 s, 11 s, ... 20 s, 22 s
	}
}

// tells reports whether to show progress: only a person who can still type sees it.
func (s *Session) tells() bool {
	return isConsole(s.handler()) && !s.in.Ended()
}

// progressAfter returns the progress text after the command has run for the
// duration so.
func (s *Session) progressAfter(cmd *Command, so time.Duration) string {
	s.mu.Lock()
	progress := s.progress
	s.mu.Unlock()
	if progress != nil {
		return progress(so) + "\n"
	}
	return fmt.Sprintf("%s: running for %v\n", cmd.label(), so)
}

// setProgress sets the function that describes the progress of the running command.
// It returns the previous function.
func (c *core) setProgress(progress func(so time.Duration) string) (before func(time.Duration) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.progress = c.progress, progress
	return before
}

// perform runs one command. It is the goroutine of the command.
func (s *Session) perform(cmd *Command, args []string, ended chan<- error) {
	err := fmt.Errorf("%s ended its goroutine (runtime.Goexit)", cmd.label())
	defer func() {
		if !s.fate.CompareAndSwap(0, fateReturned) {
			s.host.leftBehind.Add(-1)
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

// begun records that a line is being run. rest records that it has ended.
func (c *core) begun() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stopped = true, false
}

// rest records that no line is being run. A script sends one line. If its interrupt
// arrived before that line was read, the interrupt is kept.
func (c *core) rest() {
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
