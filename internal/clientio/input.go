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
	"github.com/gomanhole/oneshot/internal/timers"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Limits on what a client may send.
const (
	MaxLine = 64 << 10 // bytes of a line, without its end

	// A client can send this much ahead. Then nothing more is read from it until a
	// line is taken.
	maxAheadBytes = MaxLine
	MaxAheadLines = 1024 // lines that a client can send ahead
)

// Line is one line from the client.
type Line struct {
	Text    string // without the line end
	TooLong bool   // it had more than MaxLine bytes and was discarded; Text is empty
}

// Input reads lines from a client. It reads ahead while a command runs, so that it
// notices an interrupt or the end of the connection. Run is called in a goroutine of the
// session.
type Input struct {
	conn        *os.File
	interrupted func() bool // is called for each interrupt byte; returns true if it has stopped a command
	taken       func()      // is called when Next has found a line, before another interrupt is handled
	gone        func()      // is called when the client is gone

	mu      sync.Mutex // guards the fields down to eof
	lines   []Line
	ahead   int    // the number of bytes in lines
	partial []byte // the beginning of a line whose end has not arrived yet
	skip    bool   // partial became too long: the rest of its line is discarded
	eof     bool   // the client has ended its input

	changed chan struct{} // of capacity 1: there may be something new for Next
}

// NewInput returns an Input. The fields of Input with the same names explain the
// functions.
func NewInput(interrupted func() bool, taken, gone func()) *Input {
	return &Input{interrupted: interrupted, taken: taken, gone: gone, changed: make(chan struct{}, 1)}
}

// Connect sets the client. It must be called before Run.
func (in *Input) Connect(conn *os.File) { in.conn = conn }

// Run reads until the client is gone or the connection is closed. After the end of the
// input it waits until the client is gone: a client that has ended its input may still
// read (echo stacks | nc -N).
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
		// Until the function returns true, it is called again whenever the kernel
		// reports a change. The runtime's poller is edge-triggered, and the kernel
		// reports EPOLLHUP to it.
		err := raw.Read(func(fd uintptr) bool {
			if in.wantsMore() {
				n, readErr = unixsock.Read(fd, buf) // no EINTR, since the read does not block
				return !errors.Is(readErr, syscall.EAGAIN)
			}
			left = unixsock.HungUp(fd)
			return left
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // Next has made room
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

// wantsMore reports whether the client may send more, and whether there is room for it.
func (in *Input) wantsMore() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.eof && in.roomLocked()
}

// roomLocked reports whether there is room for another line. The caller holds in.mu.
func (in *Input) roomLocked() bool {
	return in.ahead < maxAheadBytes && len(in.lines) < MaxAheadLines
}

// Ended reports whether the client has ended its input.
func (in *Input) Ended() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.eof
}

// End marks the end of the input. A last line without a line end counts as a line.
func (in *Input) End() {
	in.mu.Lock()
	in.eof = true
	if len(in.partial) > 0 || in.skip {
		in.endLine()
	}
	in.mu.Unlock()
	in.signal()
}

// Take splits the bytes that were read into lines. An interrupt discards all input
// before it that no command has taken yet, as a terminal does.
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
			in.lines = append(in.lines, Line{}) // an empty line, for a new prompt
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

// endLine ends the partial line and appends it to in.lines. The caller holds in.mu.
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

// signal wakes Next.
func (in *Input) signal() {
	select {
	case in.changed <- struct{}{}:
	default:
	}
}

// ErrIdle is the error of Next if the client has sent nothing for too long.
var ErrIdle = errors.New("idle for too long")

// ErrTooLong is the error for a line that was discarded because it was too long.
var ErrTooLong = fmt.Errorf("the line has more than %d bytes and was not run", MaxLine)

// Next returns the next line. It returns ErrIdle if none arrives within idle, io.EOF
// after the last line, and os.ErrClosed when stop is closed.
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
			if full { // wake Run, which waits in raw.Read
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
			t := timers.New(idle)
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
