package oneshot

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
)

// How a session runs one command, and stops it.

// stopGrace is how long a command that was told to stop may take before the
// session goes on without it.
const stopGrace = time.Second

// What becomes of a command.
const (
	fateLeft     = 1
	fateReturned = 2
)

// maxLeftBehind is how many commands that did not stop may be running still.
const maxLeftBehind = 16

// do runs one command on a goroutine of its own, where it may panic, block or
// call runtime.Goexit, and returns its error when it has ended or was given up.
func (s *Session) do(cmd *Command, args []string) error {
	if s.m.leftBehind.Load() >= maxLeftBehind && consoleRuns[cmd.Name] == nil {
		return fmt.Errorf("%s: %d commands that did not stop are running still; none but help, exit and their like is begun", cmd.label(), maxLeftBehind)
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	stop, progress := s.setStop(func() { cancel(errInterrupted) }), s.setProgress(nil)
	defer func() { // for the command that has run this one, if any
		s.setStop(stop)
		s.setProgress(progress)
	}()

	view := &Session{core: s.core, ctx: ctx, out: s.out.View()}
	ended := make(chan error, 1)
	ours.Go(func() { view.perform(ctx, cmd, args, ended) })

	if err, over := view.await(ctx, cmd, ended); over {
		return whyStopped(ctx, err)
	}
	return view.giveTime(ctx, cmd, ended)
}

// giveTime gives a command that was told to stop a moment to do so, and leaves it
// behind if it does not.
func (s *Session) giveTime(ctx context.Context, cmd *Command, ended <-chan error) error {
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case err := <-ended:
		return whyStopped(ctx, err)
	case <-t.C:
		s.out.CutOff()
		if s.fate.CompareAndSwap(0, fateLeft) {
			s.m.leftBehind.Add(1)
		}
		s.m.log.Warn("a command does not stop and was left behind", "command", cmd.label(), "pid", s.cred.PID)
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
	writes := s.out.Remark(0, "")
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
			writes = s.out.Remark(writes, s.progressAfter(cmd, so))
		}
		tick.Reset(max(time.Second, (so / 10).Round(time.Second))) // 10 s, 11 s, ... 20 s, 22 s
	}
}

// tells reports whether progress is of interest: there is a person who may type.
func (s *Session) tells() bool {
	return isConsole(s.handler()) && !s.in.Ended()
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

// rest notes that no line is being run. The interrupt of a script that came
// before its one line was looked for is not forgotten.
func (c *core) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.stopped = false, c.stopped && c.script
}

// interrupt stops the running command; false if there is none.
func (c *core) interrupt() bool {
	c.mu.Lock()
	stop, busy := c.stop, c.busy
	c.stopped = true
	c.mu.Unlock()
	if stop == nil && !busy && c.script {
		c.in.End() // there is no prompt to start again at
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
