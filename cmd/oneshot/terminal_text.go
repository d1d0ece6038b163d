//go:build unix

package main

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// sessionPrompt is what the console writes when it waits for a line.
const sessionPrompt = ">>> "

// maxHeld is how much of a line is waited for before its beginning is shown.
const maxHeld = 4 << 10

// heading is the line that stands before the findings.
const heading = "What stands out:"

// Bold, and an end of it.
const (
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// sessionText is what the session says, on its way to the screen. It is not
// trusted: a value of the program may have anything in it.
type sessionText struct {
	colours bool

	line  []byte // of the line that has not ended: what has not been shown
	begun bool   // its beginning was shown
}

// add takes what the session says up to the end of a line, if it is in p, and
// returns the rest. Full: it is time to take what is to be shown.
func (t *sessionText) add(p []byte) (rest []byte, full bool) {
	n := bytes.IndexByte(p, '\n') + 1
	if n == 0 {
		n = min(len(p), maxHeld)
	}
	t.line = append(t.line, p[:n]...)
	return p[n:], p[n-1] == '\n' || len(t.line) >= maxHeld
}

// prompted reports whether the prompt is all that the line has.
func (t *sessionText) prompted() bool {
	return !t.begun && string(t.line) == sessionPrompt
}

// cutPrompt takes a prompt away that the line begins with; more, or another,
// stands behind it.
func (t *sessionText) cutPrompt(another bool) bool {
	rest, ok := bytes.CutPrefix(t.line, []byte(sessionPrompt))
	if !ok || t.begun || len(rest) == 0 || another && string(rest[:min(len(rest), len(sessionPrompt))]) != sessionPrompt[:min(len(rest), len(sessionPrompt))] {
		return false
	}
	t.line = t.line[:copy(t.line, rest)]
	return true
}

// mayBePrompt reports whether the line is the beginning of a prompt.
func (t *sessionText) mayBePrompt() bool {
	return !t.begun && bytes.HasPrefix([]byte(sessionPrompt), t.line)
}

// take appends the line, as it is to be shown, to dst. The last bytes of a
// character stay unless all is to be taken.
func (t *sessionText) take(dst []byte, all bool) []byte {
	line := t.line
	if !all {
		line = line[:len(line)-unfinished(line)]
	}
	if len(line) == 0 {
		return dst
	}
	strong := t.colours && !t.begun && string(bytes.TrimSuffix(line, []byte{'\n'})) == heading
	if strong {
		dst = append(dst, bold...)
	}
	dst = appendVisible(dst, bytes.TrimSuffix(line, []byte{'\n'}))
	if strong {
		dst = append(dst, plain...)
	}
	t.begun = line[len(line)-1] != '\n'
	if !t.begun {
		dst = append(dst, '\n')
	}
	t.line = t.line[:copy(t.line, t.line[len(line):])]
	return dst
}

// unfinished is how many bytes at the end begin a character.
func unfinished(p []byte) int {
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

// appendVisible appends text with what would act on a terminal escaped: control
// bytes but for line ends and tabs, invisible characters, and bytes that are
// none.
func appendVisible(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1, r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			dst = fmt.Appendf(dst, `\x%02x`, text[0])
		case r < utf8.RuneSelf || unicode.IsGraphic(r):
			dst = append(dst, text[:n]...)
		case r < 0x10000:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		}
		text = text[n:]
	}
	return dst
}
