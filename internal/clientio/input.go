package clientio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Limits on what a client may send.
const (
	MaxLine = 64 << 10 // bytes of a line, without its end

	// A client may type ahead so much; then it is not read any more until
	// commands have been run.
	maxAheadBytes = MaxLine
	MaxAheadLines = 1024
)

// Line is one line that a client has sent.
type Line struct {
	Text    string
	TooLong bool // it had more than maxLine bytes, which were thrown away
}

// Input reads lines from a client, ahead of the commands, so that an interrupt
// or the end of the connection is seen while a command runs. One goroutine of
// the session runs it.
type Input struct {
	conn        *os.File
	interrupted func() bool // called for each interrupt byte; true: it stopped a command
	taken       func()      // called when next has found a line, before another interrupt can be
	gone        func()      // called when the client is there no more

	mu      sync.Mutex // guards what follows
	lines   []Line
	ahead   int    // bytes in lines
	partial []byte // a line that has not ended
	skip    bool   // partial became too long: forget the rest of its line
	eof     bool   // the client sends no more

	changed chan struct{} // of capacity 1: next may find something new
}

func NewInput(interrupted func() bool, taken, gone func()) *Input {
	return &Input{interrupted: interrupted, taken: taken, gone: gone, changed: make(chan struct{}, 1)}
}

// Connect sets the client, before run.
func (in *Input) Connect(conn *os.File) { in.conn = conn }

// Run reads until the client is gone or the connection is closed. After the
// End of input it waits for the client to go: to send no more is not to leave
// (echo stacks | nc -N).
func (in *Input) Run() {
	defer in.gone()
	raw, err := in.conn.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 4<<10)
	for {
		n, left := 0, false
		var readErr error
		// The callback is called again whenever the kernel reports a change
		// (the runtime's poller is edge-triggered and hears of EPOLLHUP) until
		// it returns true.
		err := raw.Read(func(fd uintptr) bool {
			if in.wantsMore() {
				n, readErr = unixsock.Read(fd, buf) // EINTR cannot be: it does not block
				return !errors.Is(readErr, syscall.EAGAIN)
			}
			left = unixsock.HungUp(fd)
			return left
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // next has made room
			_ = in.conn.SetReadDeadline(time.Time{})
		case err != nil || readErr != nil || left:
			return
		case n == 0:
			in.End()
		default:
			in.Take(buf[:n])
		}
	}
}

// wantsMore reports whether there is more to come and room for it.
func (in *Input) wantsMore() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.eof && in.roomLocked()
}

func (in *Input) roomLocked() bool {
	return in.ahead < maxAheadBytes && len(in.lines) < MaxAheadLines
}

// Ended reports whether the client sends no more.
func (in *Input) Ended() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.eof
}

// End notes that no more comes. What came without a line end is a line.
func (in *Input) End() {
	in.mu.Lock()
	in.eof = true
	if len(in.partial) > 0 || in.skip {
		in.endLine()
	}
	in.mu.Unlock()
	in.signal()
}

// Take cuts what was read into lines. An interrupt throws away what was typed
// before it and not begun yet, as a terminal does.
func (in *Input) Take(p []byte) {
	for {
		i := bytes.IndexByte(p, protocol.Interrupt)
		if i < 0 {
			break
		}
		p = p[i+1:]
		in.mu.Lock()
		in.lines, in.ahead, in.partial, in.skip = nil, 0, nil, false
		in.mu.Unlock()
		if !in.interrupted() {
			in.mu.Lock()
			in.lines = append(in.lines, Line{}) // for a new prompt
			in.mu.Unlock()
		}
	}
	in.mu.Lock()
	for len(p) > 0 {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		p = rest
		if !in.skip {
			in.partial = append(in.partial, text...)
			if len(in.partial) > MaxLine+1 { // a \r may follow the last byte
				in.partial, in.skip = nil, true
			}
		}
		if ended {
			in.endLine()
		}
	}
	in.mu.Unlock()
	in.signal()
}

// endLine moves the partial line to the lines. The caller holds in.mu.
func (in *Input) endLine() {
	text := bytes.TrimSuffix(in.partial, []byte{'\r'})
	l := Line{Text: string(text), TooLong: in.skip}
	if len(text) > MaxLine {
		l = Line{TooLong: true}
	}
	in.partial, in.skip = in.partial[:0], false
	in.lines = append(in.lines, l)
	in.ahead += len(l.Text)
}

func (in *Input) signal() {
	select {
	case in.changed <- struct{}{}:
	default:
	}
}

// ErrIdle is the end of a session in which nothing was sent for too long.
var ErrIdle = errors.New("idle for too long")

// ErrTooLong is for a line that was thrown away.
var ErrTooLong = fmt.Errorf("the line has more than %d bytes and was not run", MaxLine)

// Next returns the next line, at most after idle. It returns io.EOF after the
// last, and the session's own error once stop is closed.
func (in *Input) Next(idle time.Duration, stop <-chan struct{}) (Line, error) {
	var timeout <-chan time.Time
	for {
		in.mu.Lock()
		if len(in.lines) > 0 {
			full := !in.roomLocked()
			l := in.lines[0]
			in.lines = in.lines[1:]
			in.ahead -= len(l.Text)
			in.taken()
			full = full && in.roomLocked()
			in.mu.Unlock()
			if full { // wake the reader, which waits in raw.Read
				_ = in.conn.SetReadDeadline(time.Unix(1, 0))
			}
			return l, nil
		}
		eof := in.eof
		in.mu.Unlock()
		if eof {
			return Line{}, io.EOF
		}
		if timeout == nil {
			t := time.NewTimer(idle)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-in.changed:
		case <-timeout:
			return Line{}, ErrIdle
		case <-stop:
			return Line{}, os.ErrClosed
		}
	}
}
