//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// client is a connection that was accepted.
type client struct {
	p    *process
	r    *rand.Rand
	conn *net.UnixConn
	buf  []byte // bytes that were read and not used yet
}

// errRefused means that the program refused the client.
var errRefused = errors.New("refused")

// isExcused reports whether a session may end at any time, because the program is
// ending or ends its sessions early itself. A session without an answer is still a
// failure: see lost.
func (p *process) isExcused() bool {
	return p.ending.Load() || p.kind.willful || p.broken.Load()
}

// full is part of the refusal when there are too many sessions.
const full = "sessions are open already"

// again is how long a client waits for a socket before it sends another signal. A
// signal that arrives while a window is open only keeps this window open longer, and
// another client may enter it.
const again = 250 * time.Millisecond

// willfulPatience is how long a client tries to enter a program that may have no
// manhole at the moment.
const willfulPatience = 2 * time.Second

// enter asks for windows until it has entered one. It returns nil if it gives up. If
// sure is true, one signal must be enough: there is no other client, and the last
// client was accepted, so no connection is waiting that would use up the window.
func (p *process) enter(r *rand.Rand, script, sure bool) *client {
	most := patience
	if p.kind.willful {
		most = willfulPatience
	}
	over := time.Now().Add(most)
	p.open(r)
	asked := time.Now()
	for !p.ending.Load() && !p.broken.Load() {
		if time.Now().After(over) {
			if !p.kind.willful {
				p.failWithStacks(noWindow, "nobody could enter for %v; one signal had to be enough: %v", most, sure)
			}
			return nil
		}
		if !sure && time.Since(asked) > again {
			p.open(r)
			asked = time.Now()
		}
		conn, err := dial(p.path, script)
		if err != nil {
			if sure && !p.isExcused() && p.place.dead == nil && !p.executed.Load() && errors.Is(err, syscall.ECONNREFUSED) && !p.kind.abstract {
				p.fail(wrongAnswer, "there is a socket at the path without a listener: %v", err)
			}
			time.Sleep(200 * time.Microsecond)
			continue
		}
		c := &client{p: p, r: r, conn: conn}
		err = c.greeted(script)
		if err == nil {
			p.sessions.Add(1)
			p.executed.Store(false)
			p.tally.add("sessions", 1)
			return c
		}
		conn.Close()
		switch {
		case errors.Is(err, errRefused):
			p.tally.add("refusals", 1)
			asked = time.Time{}                                                 // another connection may have used up the window
			if sure && !p.isExcused() && !strings.Contains(err.Error(), full) { // sessions from before may not have ended yet
				p.fail(wrongAnswer, "the only client was refused: %v", err)
			}
		case !p.isExcused() && (sure || !isReset(err)):
			c.lost("the greeting", err)
		default:
			asked = time.Time{}
		}
	}
	return nil
}

// isReset reports whether a connection was reset. This happens to a connection that
// is made just while the window is being closed: it gets no reason.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

var scripts atomic.Int64

func dial(path string, script bool) (*net.UnixConn, error) {
	var own *net.UnixAddr
	if script {
		own = &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@%s%d.%d", protocol.SocketPrefix, os.Getpid(), scripts.Add(1))}
	}
	return net.DialUnix("unix", own, &net.UnixAddr{Net: "unix", Name: path})
}

// greeted reads the beginning: a greeting, or the reason of a refusal.
func (c *client) greeted(script bool) error {
	want, size := fmt.Sprintf("stress, pid %d, ", c.p.pid()), 0
	switch {
	case script: // an empty frame
		want, size = string(make([]byte, protocol.HeaderSize)), protocol.HeaderSize
		want = "\x01" + want[1:]
	case c.p.kind.noPrompt:
		want = "no command \"hello\"; help lists them\n"
		if err := c.send("hello\n"); err != nil && !isReset(err) {
			return err
		}
	}
	for {
		if bytes.HasPrefix(c.buf, []byte("oneshot: ")) && bytes.HasSuffix(c.buf, []byte("\n")) {
			return fmt.Errorf("%w: %s", errRefused, c.buf)
		}
		if bytes.HasPrefix(c.buf, []byte(want)) {
			c.buf = c.buf[max(size, 0):]
			if c.p.kind.noPrompt && !script {
				c.buf = c.buf[len(want):]
			}
			return nil
		}
		if len(c.buf) > 0 && !strings.HasPrefix(want, string(c.buf)) && !bytes.HasPrefix(c.buf, []byte("oneshot: "[:min(9, len(c.buf))])) {
			return fmt.Errorf("an unknown form of greeting: %.200q", c.buf)
		}
		if err := c.read(4 << 10); err != nil {
			return err
		}
	}
}

// send sends text. A client that also reads can always send in time.
func (c *client) send(text string) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write([]byte(text))
	return err
}

// read reads once, at most the given number of bytes.
func (c *client) read(most int) error {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	p := make([]byte, most)
	n, err := c.conn.Read(p)
	c.buf = append(c.buf, p[:n]...)
	return err
}

const prompt = protocol.Prompt

// untilPrompt reads up to a prompt that is the end of the output, and returns the
// text before it.
func (c *client) untilPrompt() (string, error) {
	for {
		if before, ok := bytes.CutSuffix(c.buf, []byte(prompt)); ok && (len(before) == 0 || before[len(before)-1] == '\n') {
			c.buf = nil
			return string(before), nil
		}
		if err := c.read(64 << 10); err != nil {
			return "", err
		}
	}
}

// until reads up to text, and returns what came before it.
func (c *client) until(text string) (string, error) {
	for from := 0; ; {
		if i := bytes.Index(c.buf[from:], []byte(text)); i >= 0 {
			before := string(c.buf[:from+i])
			c.buf = c.buf[from+i+len(text):]
			return before, nil
		}
		from = max(0, len(c.buf)-len(text))
		if err := c.read(64 << 10); err != nil {
			return "", err
		}
	}
}

// untilEnd reads to the end of the connection.
func (c *client) untilEnd() (string, error) {
	for {
		if err := c.read(64 << 10); err != nil {
			if err.Error() == "EOF" {
				return string(c.buf), nil
			}
			return "", err
		}
	}
}

// sync sends a word that is not a command and reads up to its answer. After that,
// everything before has been answered. sync returns what came before this answer.
func (c *client) sync() (string, error) {
	word := fmt.Sprintf("sync%d", c.r.Uint64())
	if err := c.send(word + "\n"); err != nil {
		return "", err
	}
	before, err := c.until(fmt.Sprintf("no command %q; help lists them\n", word))
	if err == nil && !c.p.kind.noPrompt {
		_, err = c.until(prompt)
	}
	return before, err
}

// lost reports a session that was cut off or not answered, unless that is excused.
func (c *client) lost(what string, err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if !c.p.broken.Load() && !c.p.isOver() {
			c.p.failWithStacks(noEnd, "%s: %v; received so far: %.500q", what, err, c.buf)
		}
	case !c.p.isExcused():
		c.p.fail(wrongAnswer, "%s: %v; received so far: %.500q", what, err, c.buf)
	}
}

// wrong reports a wrong answer.
func (c *client) wrong(err error) {
	if !c.p.ending.Load() {
		c.p.fail(wrongAnswer, "%v", err)
	}
}
