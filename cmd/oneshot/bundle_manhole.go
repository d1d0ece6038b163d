//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// errNoSuchCommand is the error for a command that the program does not have.
var errNoSuchCommand = errors.New("the version of oneshot in the program does not have this command")

// commander runs one command after another in the manhole of a process, in one session if
// the program can do that. It is not for concurrent use.
type commander struct {
	target   target
	options  connectOptions
	wishes   protocol.Wishes
	progress *partProgress
	ended    func() bool   // reports whether the process has ended
	endTime  time.Duration // see defaultEndTime

	conn     *net.UnixConn // a session that waits for a command; nil: none
	failures int           // how often in a row there was no session
	lost     error         // the last such error; after maxFailures, nobody tries again
}

// maxFailures is how often a program may not answer, until the other parts are left out
// without waiting for it.
const maxFailures = 2

// connect opens a session, if there is none.
func (c *commander) connect() (err error) {
	switch {
	case c.conn != nil:
		return nil
	case c.failures >= maxFailures:
		return c.lost
	}
	c.conn, err = connect(c.target, c.options, frames(c.wishes))
	if c.failures, c.lost = c.failures+1, err; err == nil {
		c.failures = 0
	}
	return err
}

// close ends the session.
func (c *commander) close() {
	if c.conn == nil {
		return
	}
	_ = c.conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c.conn, "exit\n"); err == nil {
		_, _ = io.Copy(io.Discard, c.conn) // the session closes it
	}
	c.drop()
}

// drop closes the connection.
func (c *commander) drop() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// run runs a command. When ctx ends, it interrupts the command, and takes what the command
// still delivers.
func (c *commander) run(ctx context.Context, w io.Writer, line string) (o bundle.Outcome, err error) {
	known := c.failures >= maxFailures
	if err := c.connect(); known && !c.ended() {
		return o, err
	} else if err != nil {
		return o, c.explain(ctx, err)
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() {
		_, _ = conn.Write([]byte{protocol.Interrupt}) // readAnswer reports a broken connection
		_ = conn.SetReadDeadline(time.Now().Add(interruptTime))
	})
	defer stop()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		c.drop()
		return o, c.explain(ctx, err)
	}
	var errs bytes.Buffer
	many := false
	status, err := readAnswerWithCost(conn, w, &limited{w: &errs, left: maxErrorText}, c.progress, func(payload string) {
		many = true
		if count, longest, total, err := protocol.ParseCost(payload); err == nil {
			o.Stopped = &bundle.Stops{Count: count, Longest: longest.Seconds(), Total: total.Seconds()}
		}
	})
	if err != nil || !many || !stop() {
		c.drop() // the session has ended, or it may get an interrupt between two commands
	}
	text := strings.TrimSpace(errs.String())
	switch {
	case err != nil:
		return o, c.explain(ctx, err)
	case status == statusUsage:
		return o, fmt.Errorf("%w: %s", errNoSuchCommand, text)
	case status != 0:
		o.Complete = status == statusInterrupted
		return o, errors.New(text)
	}
	o.Complete, o.Remark = true, text
	return o, nil
}

// interruptTime is how long an interrupted command may take to deliver what it has.
const interruptTime = 3 * time.Second

// defaultEndTime is how long the kernel may take to end a process after its connections are closed:
// it frees the memory meanwhile.
const defaultEndTime = 2 * time.Second

// explain returns ErrProgramEnded if the process has ended.
func (c *commander) explain(ctx context.Context, err error) error {
	for deadline := time.Now().Add(c.endTime); ; time.Sleep(10 * time.Millisecond) {
		switch {
		case c.ended():
			return bundle.ErrProgramEnded
		case ctx.Err() != nil || time.Now().After(deadline):
			return err
		}
	}
}

// partProgress is the progress line of a bundle: which part is made, and what its command
// says.
type partProgress struct {
	display.Progress
	part string
}

// begin shows that a part begins.
func (p *partProgress) begin(part string) {
	p.part = part
	p.Progress.Show(part)
}

// Show shows what the command says.
func (p *partProgress) Show(text string) { p.Progress.Show(p.part + ": " + text) }

// Clear leaves the line as it is: the next part replaces it.
func (p *partProgress) Clear() {}
