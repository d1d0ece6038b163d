//go:build linux

package terminal

import (
	"bytes"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// sessionPrompt is what the console writes when it waits for a line.
const sessionPrompt = protocol.Prompt

// maxHeld is the number of bytes of an unfinished line that are kept back before
// its beginning is shown.
const maxHeld = 4 << 10

// heading is the line above the findings, which is shown in bold.
const heading = protocol.FindingsHeading

// Escape sequences for bold text and for normal text.
const (
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// sessionText is the output of the session on its way to the screen. It is not
// trusted: a value of the program may contain any bytes.
type sessionText struct {
	colours bool

	line  []byte // the part of the unfinished line that has not been shown
	begun bool   // the beginning of the unfinished line has been shown
}

// add takes output from p up to and including the next newline, and returns the
// rest of p. If full is true, the caller must take the line before it adds more.
func (t *sessionText) add(p []byte) (rest []byte, full bool) {
	n := bytes.IndexByte(p, '\n') + 1
	if n == 0 {
		n = min(len(p), maxHeld)
	}
	t.line = append(t.line, p[:n]...)
	return p[n:], p[n-1] == '\n' || len(t.line) >= maxHeld
}

// isPrompt reports whether the line is a prompt and nothing else.
func (t *sessionText) isPrompt() bool {
	return !t.begun && string(t.line) == sessionPrompt
}

// mayBePrompt reports whether the line is the beginning of a prompt.
func (t *sessionText) mayBePrompt() bool {
	return !t.begun && bytes.HasPrefix([]byte(sessionPrompt), t.line)
}

// cutPrompt removes a prompt from the beginning of the line if something follows
// it. If beforePrompt is true, only another prompt counts, or the beginning of
// one. It reports whether it has removed a prompt.
func (t *sessionText) cutPrompt(beforePrompt bool) bool {
	rest, ok := bytes.CutPrefix(t.line, []byte(sessionPrompt))
	if !ok || t.begun || len(rest) == 0 {
		return false
	}
	if n := min(len(rest), len(sessionPrompt)); beforePrompt && string(rest[:n]) != sessionPrompt[:n] {
		return false
	}
	t.line = t.line[:copy(t.line, rest)]
	return true
}

// take removes the line and appends it to dst in the form to be shown. An
// incomplete character at the end of the line stays, unless all is true.
func (t *sessionText) take(dst []byte, all bool) []byte {
	line := t.line
	if !all {
		line = line[:len(line)-incomplete(line)]
	}
	if len(line) == 0 {
		return dst
	}
	text := bytes.TrimSuffix(line, []byte{'\n'})
	if t.colours && !t.begun && string(text) == heading {
		dst = append(append(append(dst, bold...), heading...), plain...)
	} else {
		dst = display.AppendEscaped(dst, text)
	}
	t.begun = line[len(line)-1] != '\n'
	if !t.begun {
		dst = append(dst, '\n')
	}
	t.line = t.line[:copy(t.line, t.line[len(line):])]
	return dst
}

// incomplete returns the number of bytes at the end of p that are the beginning of
// a UTF-8 character.
func incomplete(p []byte) int {
	for n := 1; n <= min(len(p), utf8.UTFMax-1); n++ {
		if b := p[len(p)-n]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
