//go:build unix

package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// promptText returns the prompt to be shown. The caller holds d.mu. In a narrow window it has no escape
// sequences, because the editor would split them at the end of a row.
func (d *dialog) promptText() string {
	if d.searchPrompt != "" {
		return d.searchPrompt
	}
	if width, _ := d.tty.size(); d.text.colours && width > 2*len(bold+sessionPrompt+plain) {
		return bold + sessionPrompt + plain
	}
	return sessionPrompt
}

// setPrompt turns the prompt on or off. The screen shows it after the next redraw.
// The caller holds d.mu.
func (d *dialog) setPrompt(on bool) {
	d.prompted = on
	if on {
		d.editor.SetPrompt(d.promptText())
	} else {
		d.editor.SetPrompt("")
	}
}

// atNewLine notes that the cursor is at the start of a line, and that the line above is
// not the session's output. The caller holds d.mu.
func (d *dialog) atNewLine() { d.text.begun, d.text.above = false, false }

// show writes text above the line that is edited. The caller holds d.mu.
func (d *dialog) show(text []byte) {
	if len(text) > 0 {
		d.tty.batched(func() { _, _ = d.editor.Write(text) })
	}
}

// receive shows the output of the session until it ends.
func (d *dialog) receive() {
	buf := make([]byte, 32<<10)
	for {
		n, err := d.conn.Read(buf)
		unfinished := d.add(d.queries.filter(buf[:n]))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			d.showUnfinished()
			unfinished = false
		case err != nil:
			d.finish(err)
			return
		}
		deadline := time.Time{}
		if unfinished {
			deadline = time.Now().Add(promptDelay)
		}
		_ = d.conn.SetReadDeadline(deadline) // if it fails, so does the next Read
	}
}

// add shows the complete lines of p and keeps the rest. It reports whether there is
// an unfinished line.
func (d *dialog) add(p []byte) (unfinished bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var shown []byte
	d.text.width, _ = d.tty.size()
	for len(p) > 0 {
		var full bool
		p, full = d.text.add(p)
		// Remove prompts that a line typed ahead has answered already. Without such a
		// line, remove those that another prompt follows.
		for d.text.cutPrompt(len(d.ahead) == 0) {
			shown = d.appendAhead(shown)
		}
		if full {
			shown = d.text.take(shown, false)
		}
	}
	d.show(shown)
	return len(d.text.line) > 0
}

// appendAhead is called for each prompt. If a line was typed ahead for it,
// appendAhead appends the prompt and that line to shown.
func (d *dialog) appendAhead(shown []byte) []byte {
	if d.interrupted.Swap(false) {
		d.ahead, d.exiting = nil, false
	}
	if len(d.ahead) > 0 {
		shown = append(shown, d.promptText()+d.ahead[0]+"\n"...)
		d.ahead = d.ahead[1:]
	}
	return shown
}

// showUnfinished shows an unfinished line, or a prompt, because nothing has followed
// it for a while.
func (d *dialog) showUnfinished() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.text.isPrompt():
		d.text.line = d.text.line[:0]
		if shown := d.appendAhead(nil); shown != nil {
			d.show(shown)
		} else if !d.leaving.Load() {
			d.exiting = false
			d.setPrompt(true)
			d.keyboard.redraw()
		}
	case d.text.mayBePrompt():
	default:
		d.showLine(false)
	}
}

// showLine shows the unfinished line, without an incomplete character at its end
// unless all is true. If the prompt is shown, it moves to a line of its own.
func (d *dialog) showLine(all bool) {
	shown := d.text.take(nil, all)
	if len(shown) > 0 && shown[len(shown)-1] != '\n' && d.prompted {
		shown = append(shown, '\n')
	}
	d.show(shown)
}

// finish shows the rest of the output and ends the dialog. err is the error of the
// last Read.
func (d *dialog) finish(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.text.isPrompt() {
		d.showLine(true)
	}
	switch {
	case d.leaving.Load() || d.exiting && !d.interrupted.Load():
		err = nil
	case errors.Is(err, io.EOF):
		err = errEnded
	default:
		err = fmt.Errorf("%w: %w", errEnded, err)
	}
	d.end(outcome{err: err})
}
