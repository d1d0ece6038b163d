// Package clientio reads a session's input and writes its output. It reads lines from
// the client ahead of the commands. It writes to the client with a deadline for every
// write. It knows nothing about commands and handlers.
package clientio

import (
	"cmp"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// WriteTimeout is the time in which a client must make room for more output. It is long
// because a person may be reading in a pager. Meanwhile no lock of the program is held.
const WriteTimeout = 30 * time.Second

// ErrCut is the error of a write by a command that the session no longer waits for.
var ErrCut = errors.New("oneshot: the command was stopped")

// wire is the connection to the client. It is buffered, and has a deadline for every
// write.
type wire struct {
	conn    *os.File
	timeout time.Duration
	failed  func(error) // is called once, when a write to the client fails

	framed bool // the client is a script, so output is sent in frames

	mu     sync.Mutex // guards the fields below, and timeout
	buf    []byte
	frame  int    // where the last frame in buf begins, to which output is added
	last   byte   // the last byte that a command wrote
	writes uint64 // the number of calls of Write
	shown  int    // the width of the progress line that is shown; 0: none
	err    error  // of the first write that failed
}

const (
	wireBuffer   = 4 << 10
	framedBuffer = 32 << 10
)

// Output is the access of one command to the client. If the command does not end when
// it should, the session cuts off its Output.
type Output struct {
	wire *wire
	cut  bool // guarded by wire.mu
}

// NewOutput returns the output of a session. If the client does not make room within
// timeout, or a write fails, failed is called once, and nothing more is written.
func NewOutput(timeout time.Duration, failed func(error)) *Output {
	return &Output{wire: &wire{timeout: timeout, failed: failed}}
}

// Connect sets the client. It must be called before the first write. If script is true,
// output is sent in frames.
func (o *Output) Connect(conn *os.File, script bool) {
	o.wire.conn, o.wire.framed = conn, script
}

// View returns another output to the same client, which can be cut off separately.
func (o *Output) View() *Output { return &Output{wire: o.wire} }

// SetTimeout changes the time in which the client must make room.
func (o *Output) SetTimeout(d time.Duration) {
	o.wire.mu.Lock()
	defer o.wire.mu.Unlock()
	o.wire.timeout = d
}

// Write appends p to the buffer, which is sent when it is full. It returns ErrCut after
// the output was cut off.
func (o *Output) Write(p []byte) (int, error) {
	w := o.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cut {
		return 0, ErrCut
	}
	w.prepare()
	w.endProgress()
	w.writes++
	if len(p) > 0 {
		w.last = p[len(p)-1]
	}
	written := 0
	for w.err == nil && len(p) > 0 {
		n := min(len(p), w.size()-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		written += n
		if len(w.buf) == w.size() {
			w.flush()
		}
	}
	return written, w.err
}

// WriteString is like Write, for a string.
func (o *Output) WriteString(s string) (int, error) { return o.Write([]byte(s)) }

// Flush sends the buffered bytes.
func (o *Output) Flush() error {
	w := o.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cut {
		return ErrCut
	}
	w.flush()
	return w.err
}

// Frame appends a frame of the given kind to the buffer, behind what was written. It cuts
// off a payload that is too long. It does nothing if the client is not a script.
func (o *Output) Frame(kind byte, payload string) {
	w := o.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cut || !w.framed {
		return
	}
	w.prepare()
	if len(w.buf) > w.frame+protocol.HeaderSize { // the output of a command
		w.endFrame(protocol.Output)
	}
	w.buf = append(w.buf, plaintext.Clip(payload, protocol.MaxPayload-3)...)
	w.endFrame(kind)
	if len(w.buf) >= w.size() {
		w.flush()
	}
}

// endFrame ends the last frame in the buffer and begins the next one.
func (w *wire) endFrame(kind byte) {
	protocol.PutHeader(w.buf[w.frame:], kind, len(w.buf)-w.frame-protocol.HeaderSize)
	w.frame = len(w.buf)
	w.buf = append(w.buf, make([]byte, protocol.HeaderSize)...)
}

// Writes returns the number of writes of commands until now.
func (o *Output) Writes() uint64 {
	o.wire.mu.Lock()
	defer o.wire.mu.Unlock()
	return o.wire.writes
}

// Progress shows a line of the session's own, in place of the one that it has shown
// before. It shows nothing if a command has written since the caller saw the number of
// writes, or if the output is in the middle of a line. It returns the present number of
// writes.
func (o *Output) Progress(writes uint64, text string) uint64 {
	w := o.wire
	if w.framed {
		if o.Writes() == writes {
			o.Frame(protocol.Progress, text)
			_ = o.Flush() // a later write reports it
		}
		return o.Writes()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !o.cut && w.writes == writes && w.last == '\n' {
		w.prepare()
		width := utf8.RuneCountInString(text)
		w.buf = append(append(w.buf, '\r'), plaintext.Clip(text, maxProgress)...)
		for range w.shown - width { // nothing must remain of a longer line
			w.buf = append(w.buf, ' ')
		}
		w.shown = max(w.shown, width, 1)
		w.flush()
	}
	return w.writes
}

// maxProgress is how many bytes a progress line may have.
const maxProgress = 256

// endProgress ends the progress line, so that what follows is on a line of its own.
func (w *wire) endProgress() {
	if w.shown > 0 {
		w.shown = 0
		w.buf = append(w.buf, '\n')
	}
}

// Typed notes that the cursor is at the start of a line, because the person at the
// terminal has pressed Enter.
func (o *Output) Typed() {
	o.wire.mu.Lock()
	defer o.wire.mu.Unlock()
	o.wire.last = '\n'
}

// CutOff makes all later writes to this output return ErrCut.
func (o *Output) CutOff() {
	o.wire.mu.Lock()
	defer o.wire.mu.Unlock()
	o.cut = true
}

// prepare makes the buffer if there is none. In a frame it leaves room for the header.
func (w *wire) prepare() {
	switch {
	case w.buf != nil:
	case w.framed:
		w.buf = make([]byte, protocol.HeaderSize, framedBuffer+protocol.HeaderSize)
	default:
		w.buf = make([]byte, 0, wireBuffer)
	}
}

// size returns the number of bytes that the buffer has when it is full.
func (w *wire) size() int {
	if w.framed {
		return framedBuffer
	}
	return wireBuffer
}

// flush sends the buffer. The caller holds w.mu, and holds it until the client
// has taken everything or the deadline has passed.
func (w *wire) flush() {
	left := 0
	if w.framed && w.buf != nil {
		if len(w.buf) > w.frame+protocol.HeaderSize {
			w.endFrame(protocol.Output)
		}
		left = protocol.HeaderSize // of the next frame
	}
	p := w.buf[:len(w.buf)-left]
	if len(p) == 0 {
		return
	}
	if w.err == nil {
		if w.err = sendAll(w.conn, p, w.timeout); w.err != nil {
			w.failed(w.err)
		}
	}
	w.frame = 0
	if cap(p) > 2*framedBuffer { // a long frame has made it larger
		w.buf = nil
		w.prepare()
	}
	w.buf = w.buf[:left]
}

// sendAll writes p to the client, which must make room for it within the timeout.
// It does not use the Write method of os.File: that ends the program on EPIPE if the
// descriptor is 1 or 2, as it can be in a daemon.
func sendAll(conn *os.File, p []byte, timeout time.Duration) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	waiting := false
	err = raw.Write(func(fd uintptr) bool {
		for len(p) > 0 {
			var n int
			if n, sendErr = unixsock.Write(fd, p); errors.Is(sendErr, syscall.EAGAIN) {
				if !waiting {
					waiting = true
					sendErr = conn.SetWriteDeadline(time.Now().Add(timeout))
				}
				return sendErr != nil && !errors.Is(sendErr, syscall.EAGAIN)
			}
			if sendErr != nil {
				return true
			}
			p = p[n:]
		}
		return true
	})
	if waiting && err == nil {
		err = conn.SetWriteDeadline(time.Time{})
	}
	return cmp.Or(err, sendErr)
}
