package protocol

import (
	"bytes"
	"errors"
	"io"
)

// maxRemarks is how much of an answer's text for a person is kept, in bytes.
const maxRemarks = 64 << 10

// ErrBase is the error for an answer that a client would have to compute: the difference
// of two profiles.
var ErrBase = errors.New("this profile is the difference of two, which only the client can compute: oneshot PID profile NAME -seconds N")

// ReadAnswer reads the frames of one command. It writes the output to w. It returns the text
// for a person, which may be a warning, and whether the command has failed.
func ReadAnswer(r io.Reader, w io.Writer) (text string, failed bool, err error) {
	var remarks bytes.Buffer
	for frames := NewReader(r); ; {
		kind, payload, err := frames.Next()
		if err != nil {
			return remarks.String(), true, err
		}
		switch kind {
		case Output:
			if len(payload) > 0 {
				if _, err := w.Write(payload); err != nil {
					return remarks.String(), true, err
				}
			}
		case Error:
			remarks.Write(payload[:min(len(payload), maxRemarks-remarks.Len())])
		case Base:
			return remarks.String(), true, ErrBase
		case End:
			return remarks.String(), string(payload) != "0", nil
		}
	}
}
