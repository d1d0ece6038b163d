//go:build linux

package display

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// ErrBinary is the error of Screen.Write for bytes that are not text.
var ErrBinary = errors.New("the answer is binary, and is not shown on a terminal")

// Screen is a terminal that the output of another process is written to. It escapes
// as AppendEscaped does. It is not for concurrent use.
type Screen struct {
	w    io.Writer
	held []byte // the beginning of a character whose rest has not come yet
}

// NewScreen returns a Screen that writes to w.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Write shows text. The beginning of a character at the end of p is kept until its
// rest comes. If p contains a NUL byte, Write shows nothing of p and returns
// ErrBinary, as curl and less do for output that is not text.
func (s *Screen) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0) >= 0 {
		return 0, ErrBinary
	}
	text := append(s.held, p...)
	whole := len(text) - incomplete(text)
	if _, err := s.w.Write(AppendEscaped(nil, text[:whole])); err != nil {
		return 0, err
	}
	s.held = append([]byte(nil), text[whole:]...)
	return len(p), nil
}

// Flush shows what is left of an incomplete character.
func (s *Screen) Flush() error {
	_, err := s.w.Write(AppendEscaped(nil, s.held))
	s.held = nil
	return err
}

// incomplete returns the number of bytes at the end of text that may be the beginning
// of a character.
func incomplete(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return n
			}
			return 0
		}
	}
	return 0
}
