//go:build unix

package display

import (
	"io"
	"strings"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// Progress shows one line on a terminal, in place of the one before it. The zero value
// shows nothing. It is not for concurrent use.
type Progress struct {
	Terminal io.Writer  // nil: nothing is shown
	Width    func() int // the number of columns of the terminal

	shown bool
}

// Erases the line of the cursor (EL in ECMA-48).
const eraseLine = "\r\x1b[K"

// Show shows a line, or as much of it as the terminal has columns for. The text may come
// from another process.
func (p *Progress) Show(text string) {
	if p.Terminal != nil {
		_, _ = io.WriteString(p.Terminal, eraseLine+FitLine(text, p.Width()-1))
		p.shown = true
	}
}

// Clear removes the line, so that something else can be written.
func (p *Progress) Clear() {
	if p.shown {
		_, _ = io.WriteString(p.Terminal, eraseLine)
		p.shown = false
	}
}

// FitLine returns s, escaped, without newlines and tabs, and shortened to a number of
// columns. What is shortened ends with three dots, if there is room for them. It counts
// two columns for each character that is not ASCII: some are that wide.
func FitLine(s string, columns int) string {
	s = strings.ReplaceAll(EscapeLine(s), "\t", " ")
	dots := "..."
	if columns < 2*len(dots) {
		dots = ""
	}
	used, kept := 0, 0 // kept are the bytes in front of the dots
	for i, r := range s {
		if used <= columns-len(dots) {
			kept = i
		}
		used++
		if r >= 0x80 {
			used++
		}
		if used > columns {
			return s[:kept] + dots
		}
	}
	return s
}

// WithoutProgress returns a writer to w that leaves out the progress lines of a session.
// Such a line begins with a carriage return. There may be prompts before it, since the
// newline of the person is not in the output.
func WithoutProgress(w io.Writer) io.Writer { return &withoutProgress{w: w} }

type withoutProgress struct {
	w        io.Writer
	prompt   int  // how much of a prompt has come
	text     bool // something else than prompts is in the line
	progress bool // it is a progress line
}

func (f *withoutProgress) Write(p []byte) (int, error) {
	kept := make([]byte, 0, len(p))
	for _, b := range p {
		switch {
		case b == '\r' && !f.text && f.prompt == 0:
			f.progress, f.text = true, true
		case f.text:
		case b == protocol.Prompt[f.prompt]:
			f.prompt = (f.prompt + 1) % len(protocol.Prompt)
		default:
			f.text = true
		}
		if !f.progress {
			kept = append(kept, b)
		}
		if b == '\n' {
			f.prompt, f.text, f.progress = 0, false, false
		}
	}
	if len(kept) > 0 {
		if _, err := f.w.Write(kept); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
