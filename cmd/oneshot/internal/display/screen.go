//go:build unix

package display

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// Screen escapes what it writes, as AppendEscaped does: text that comes from another
// process. It is not for concurrent use.
type Screen struct {
	w       io.Writer
	held    []byte // the beginning of a character whose rest has not come yet
	escaped []byte // reused
}

// NewScreen returns a Screen that writes to w.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Write shows text. The beginning of a character at the end of p is kept until its
// rest comes.
func (s *Screen) Write(p []byte) (int, error) {
	text := p
	if len(s.held) > 0 {
		text = append(s.held, p...)
	}
	whole := len(text) - incomplete(text)
	s.escaped = AppendEscaped(s.escaped[:0], text[:whole])
	if _, err := s.w.Write(s.escaped); err != nil {
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

// ErrBinary is the error of TextOnly for bytes that are not text.
var ErrBinary = errors.New("the answer is binary, and is not shown on a terminal")

// TextOnly returns a writer to w that takes nothing with a NUL byte, as curl and less do
// with output that is not text. Then its error is ErrBinary.
func TextOnly(w io.Writer) io.Writer { return textOnly{w} }

type textOnly struct{ w io.Writer }

func (t textOnly) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0) >= 0 {
		return 0, ErrBinary
	}
	return t.w.Write(p)
}
