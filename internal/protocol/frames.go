package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A script gets the answer to its command in frames: what the command writes, byte
// for byte, then its error, then its exit status. A frame is one byte for its kind,
// three bytes of zero, the length of the payload in four bytes, most significant
// first, and the payload.

// The kinds of frames.
const (
	Output byte = 1 // what the command has written
	Error  byte = 2 // text for a person: why it failed, or a warning
	End    byte = 3 // the last frame; its payload is the exit status in decimal
)

// HeaderSize is the number of bytes before the payload.
const HeaderSize = 8

// MaxPayload is the longest payload that a Reader takes, in bytes.
const MaxPayload = 1 << 20

// SocketPrefix is how the name of a client's own socket begins, without the
// directory, if the client wants frames (unix(7): a client may bind its socket
// before it connects).
const SocketPrefix = "oneshot-exec."

// TextSocketPrefix is the SocketPrefix of a client that wants frames with text only,
// because its output is a terminal. A command with a binary answer refuses at once.
const TextSocketPrefix = SocketPrefix + "text."

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
	if kind < Output || kind > End || header[1]|header[2]|header[3] != 0 || n > MaxPayload {
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
