//go:build unix

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

// eraseAbove goes to the line above and erases it (CUU and EL in ECMA-48).
const eraseAbove = "\x1b[A\r\x1b[K"

// sessionText is the output of the session on its way to the screen. It is not
// trusted: a value of the program may contain any bytes.
type sessionText struct {
	colours bool
	width   int // of the window; whole lines are broken between words to fit it

	line  []byte // the part of the unfinished line that has not been shown
	begun bool   // the beginning of the unfinished line has been shown

	columns    func() int // returns the width of the terminal
	inProgress bool       // the unfinished line is a progress line
	progress   []byte     // its text
	above      bool       // the line above the cursor is a progress line
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
	if t.isProgress() {
		return t.takeProgress(dst)
	}
	line := t.line
	if !all {
		line = line[:len(line)-incomplete(line)]
	}
	if len(line) == 0 {
		return dst
	}
	t.above = false
	text := bytes.TrimSuffix(line, []byte{'\n'})
	if t.colours && !t.begun && string(text) == heading {
		dst = append(append(append(dst, bold...), heading...), plain...)
	} else if whole := !t.begun && len(text) < len(line); whole {
		dst = display.AppendWrapped(dst, display.AppendEscaped(nil, text), t.width)
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

// isProgress reports whether the line is a progress line, which begins with a carriage
// return. A blank line of a text with carriage returns at its line ends is not one.
func (t *sessionText) isProgress() bool {
	return t.inProgress || !t.begun && bytes.HasPrefix(t.line, []byte{'\r'}) && string(t.line) != "\r\n"
}

// takeProgress is take for a progress line. What comes after a carriage return replaces
// what was shown before it. The line is complete on the screen, so that something else
// can be written below it.
func (t *sessionText) takeProgress(dst []byte) []byte {
	line, ended := bytes.CutSuffix(t.line, []byte{'\n'})
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		t.progress, line = t.progress[:0], line[i+1:]
	}
	if len(t.progress)+len(line) <= maxHeld {
		t.progress = append(t.progress, line...)
	}
	t.line, t.inProgress = t.line[:0], true
	if len(line) > 0 {
		if t.above {
			dst = append(dst, eraseAbove...)
		}
		text := string(bytes.TrimRight(t.progress, " "))
		dst = append(append(dst, display.FitLine(text, t.columns()-1)...), '\n')
		t.above = true
	}
	if ended {
		t.inProgress, t.above = false, false
	}
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
