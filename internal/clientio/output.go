// Package clientio moves a session's bytes: lines from the client, ahead of the
// commands, and output to it, with a deadline for every write. It knows nothing of
// commands and handlers.
package clientio

import (
	"cmp"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// WriteTimeout is how long a client may take to make room for what it is sent.
// A person may be reading in a pager; nothing of the program's is held meanwhile.
const WriteTimeout = 30 * time.Second

// ErrCut is what a command gets that writes after the session has given it up.
var ErrCut = errors.New("oneshot: the command was stopped")

// wire is the way to the client: buffered, with a deadline for every write.
type wire struct {
	conn    *os.File
	timeout time.Duration
	failed  func(error) // called once, when the client cannot be written to

	framed bool // the client is a script

	mu     sync.Mutex // guards what follows
	buf    []byte
	kind   byte   // of the frame in buf
	last   byte   // that was written to buf
	writes uint64 // how often something was
	err    error
}

const (
	wireBuffer   = 4 << 10
	framedBuffer = 32 << 10
)

// Output is the wire as one command sees it. The session cuts it off from a
// command that does not end when it is told to.
type Output struct {
	wire *wire
	cut  bool // guarded by wire.mu
}

// NewOutput returns the output of a session. A client that does not make room for
// timeout is lost; then failed is called, once.
func NewOutput(timeout time.Duration, failed func(error)) *Output {
	return &Output{wire: &wire{timeout: timeout, failed: failed}}
}

// Connect sets the client, before anything is written. A script gets frames.
func (o *Output) Connect(conn *os.File, script bool) {
	o.wire.conn, o.wire.framed = conn, script
}

// View returns another output to the same client, which can be cut off by itself.
func (o *Output) View() *Output { return &Output{wire: o.wire} }

// SetTimeout changes the time that the client has to make room.
func (o *Output) SetTimeout(d time.Duration) {
	o.wire.mu.Lock()
	defer o.wire.mu.Unlock()
	o.wire.timeout = d
}

// Write writes into the buffer, which is sent when it is full. It returns errCut
// after the output was cut off.
func (o *Output) Write(p []byte) (int, error) {
	w := o.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cut {
		return 0, ErrCut
	}
	w.prepare()
	w.writes++
	if len(p) > 0 {
		w.last = p[len(p)-1]
	}
	written := 0
	for w.err == nil && len(p) > 0 {
		n := copy(w.buf[len(w.buf):cap(w.buf)], p)
		w.buf = w.buf[:len(w.buf)+n]
		p = p[n:]
		written += n
		if len(w.buf) == cap(w.buf) {
			w.flush()
		}
	}
	return written, w.err
}

func (o *Output) WriteString(s string) (int, error) { return o.Write([]byte(s)) }

// Flush sends what is buffered.
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

// Frame sends what is buffered and a frame of another kind.
func (o *Output) Frame(kind byte, payload string) {
	w := o.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cut {
		return
	}
	w.flush()
	w.prepare()
	w.kind = kind
	w.buf = append(w.buf, plaintext.Clip(payload, protocol.MaxPayload-3)...)
	w.send()
	w.kind = protocol.Output
}

// Remark sends a line in between, if nothing was written since there had been
// as many writes, and not in the middle of a line. It returns how many there are.
func (o *Output) Remark(writes uint64, line string) uint64 {
	w := o.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if !o.cut && w.writes == writes && w.last == '\n' {
		w.prepare()
		w.buf = append(w.buf, line...)
		w.flush()
	}
	return w.writes
}

// Typed notes that the cursor of a person who has ended a line is at the start
// of one.
func (o *Output) Typed() {
	o.wire.mu.Lock()
	defer o.wire.mu.Unlock()
	o.wire.last = '\n'
}

func (o *Output) CutOff() {
	o.wire.mu.Lock()
	defer o.wire.mu.Unlock()
	o.cut = true
}

// prepare makes the buffer, with room for what stands before it in a frame.
func (w *wire) prepare() {
	switch {
	case w.buf != nil:
	case w.framed:
		w.kind = protocol.Output
		w.buf = make([]byte, protocol.HeaderSize, framedBuffer)
	default:
		w.buf = make([]byte, 0, wireBuffer)
	}
}

func (w *wire) room() int {
	if w.framed {
		return protocol.HeaderSize
	}
	return 0
}

// flush sends the buffer. The caller holds w.mu, and holds it until the client
// has taken everything or the deadline has passed.
func (w *wire) flush() {
	if len(w.buf) > w.room() {
		w.send()
	}
}

// send sends the buffer, even if there is only a header in it.
func (w *wire) send() {
	if w.err != nil {
		return
	}
	room := w.room()
	if w.framed {
		protocol.PutHeader(w.buf, w.kind, len(w.buf)-room)
	}
	err := sendAll(w.conn, w.buf, w.timeout)
	w.buf = w.buf[:room]
	if err != nil {
		w.err = err
		w.failed(err)
	}
}

// sendAll writes p to the client, who has the timeout to make room for it.
// (os.File's own Write would end the program on EPIPE if the descriptor is 1
// or 2, as it may be in a daemon.)
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
