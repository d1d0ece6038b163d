package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A script gets the answer to its command in frames: what the command writes, byte
// for byte, then its error, then its exit status. Before a profile of a time, it gets
// the profile at the beginning of that time. A frame is one byte for its kind,
// three bytes of zero, the length of the payload in four bytes, most significant
// first, and the payload.

// The kinds of frames.
const (
	Output byte = 1 // what the command has written
	Error  byte = 2 // text for a person: why it failed, or a warning
	End    byte = 3 // the last frame; its payload is the exit status in decimal
	Base   byte = 4 // a profile in the form of go tool pprof, to be subtracted from the output

	// Progress is a line that replaces the one before it on a person's terminal, such
	// as "cpu profile: 3 of 30 s". Only a client that has asked for it gets it.
	Progress byte = 5

	// Cost says for how long the world was stopped since the command before; see ParseCost.
	// Only a client that has wished for it gets it, before the End.
	Cost byte = 6
)

// Looks are the lines that oneshot top sends again and again: the values of the runtime,
// and the goroutines. Since they only look, a session logs each of them once.
var Looks = []string{"metrics", "stacks -nogc -n 50"}

// HeaderSize is the number of bytes before the payload.
const HeaderSize = 8

// MaxPayload is the longest payload that a Reader takes, in bytes.
const MaxPayload = 1 << 20

// SocketPrefix is how the name of a client's own socket begins, without the
// directory, if the client wants frames (unix(7): a client may bind its socket
// before it connects).
const SocketPrefix = "oneshot-exec."

// Wishes say how a client wants its frames. They are words in the name of its socket,
// after the SocketPrefix.
type Wishes struct {
	Text     bool // no binary output, because it goes to a terminal; such a command refuses at once
	Progress bool // frames of the kind Progress
	More     bool // the session goes on after the answer, with the next line
	Cost     bool // frames of the kind Cost
}

// Prefix returns how the name of the client's socket begins.
func (w Wishes) Prefix() string {
	name := SocketPrefix
	if w.Text {
		name += "text."
	}
	if w.Progress {
		name += "progress."
	}
	if w.More {
		name += "more."
	}
	if w.Cost {
		name += "cost."
	}
	return name
}

// ParseName returns the wishes of a client by the name of its socket, without the
// directory. ok is false if the client does not want frames.
func ParseName(name string) (w Wishes, ok bool) {
	if name, ok = strings.CutPrefix(name, SocketPrefix); !ok {
		return w, false
	}
	name, w.Text = strings.CutPrefix(name, "text.")
	name, w.Progress = strings.CutPrefix(name, "progress.")
	name, w.More = strings.CutPrefix(name, "more.")
	_, w.Cost = strings.CutPrefix(name, "cost.")
	return w, true
}

// PutHeader writes the header of a frame into b, which has at least HeaderSize
// bytes.
func PutHeader(b []byte, kind byte, payload int) {
	binary.BigEndian.PutUint32(b[4:8], uint32(payload))
	b[0], b[1], b[2], b[3] = kind, 0, 0, 0
}

// Reader reads frames from a program that may send anything.
type Reader struct {
	r   io.Reader
	buf []byte
}

// NewReader reads frames from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next frame; the payload is valid until the next call. The error
// is io.ErrUnexpectedEOF if the connection ends before a whole frame has come.
func (r *Reader) Next() (kind byte, payload []byte, err error) {
	var header [HeaderSize]byte
	if _, err := io.ReadFull(r.r, header[:]); err != nil {
		return 0, nil, unexpected(err)
	}
	n := binary.BigEndian.Uint32(header[4:])
	kind = header[0]
	if kind < Output || kind > Cost || header[1]|header[2]|header[3] != 0 || n > MaxPayload {
		return 0, nil, fmt.Errorf("not a frame: %q", header)
	}
	if int(n) > cap(r.buf) {
		r.buf = make([]byte, n)
	}
	payload = r.buf[:n]
	if _, err := io.ReadFull(r.r, payload); err != nil {
		return 0, nil, unexpected(err)
	}
	return kind, payload, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
