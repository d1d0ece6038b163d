//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// promptText is the prompt as it is shown. (The editor would cut the escapes in
// two in a narrow window.)
func (d *dialog) promptText() string {
	if width, _ := d.tty.size(); d.text.colours && width > 2*len(bold+sessionPrompt+plain) {
		return bold + sessionPrompt + plain
	}
	return sessionPrompt
}

// setPrompt shows the prompt, from the next redraw on, or none. The caller holds
// d.mu.
func (d *dialog) setPrompt(on bool) {
	d.prompted = on
	if on {
		d.term.SetPrompt(d.promptText())
	} else {
		d.term.SetPrompt("")
	}
}

// show writes above the line. The caller holds d.mu.
func (d *dialog) show(text []byte) {
	if len(text) > 0 {
		d.tty.together(func() { _, _ = d.term.Write(text) })
	}
}

// receive shows what the session says until it ends.
func (d *dialog) receive() {
	buf := make([]byte, 32<<10)
	for {
		n, err := d.conn.Read(buf)
		waits := d.take(buf[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			d.pause()
			waits = false
		case err != nil:
			d.finish(err)
			return
		}
		deadline := time.Time{}
		if waits {
			deadline = time.Now().Add(promptWait)
		}
		_ = d.conn.SetReadDeadline(deadline) // it fails if the connection is closed, and so does Read
	}
}

// take shows what has come, but for the line that has not ended. It reports
// whether there is one.
func (d *dialog) take(p []byte) (waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var shown []byte
	for len(p) > 0 {
		var full bool
		p, full = d.text.add(p)
		shown = d.takePrompts(shown)
		if full {
			shown = d.text.take(shown, false)
		}
	}
	d.show(shown)
	return len(d.text.line) > 0
}

// takePrompts takes the prompts away that are answered already, by lines that
// were typed ahead, and those that are followed by another.
func (d *dialog) takePrompts(shown []byte) []byte {
	for d.text.cutPrompt(len(d.ahead) == 0) {
		shown = d.answered(shown)
	}
	return shown
}

// answered appends the prompt with the line that was sent before it came.
func (d *dialog) answered(shown []byte) []byte {
	if d.interrupted.Swap(false) {
		d.ahead, d.exiting = nil, false
	}
	if len(d.ahead) > 0 {
		shown = append(shown, d.promptText()+d.ahead[0]+"\n"...)
		d.ahead = d.ahead[1:]
	}
	return shown
}

// pause shows a prompt, or the beginning of a line, since nothing follows.
func (d *dialog) pause() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.text.prompted():
		d.text.line = d.text.line[:0]
		if shown := d.answered(nil); shown != nil {
			d.show(shown)
		} else if !d.leaving.Load() {
			d.exiting = false
			d.setPrompt(true)
			d.keyboard.redraw()
		}
	case d.text.mayBePrompt():
	default:
		d.part(false)
	}
}

// part shows the line as far as it has come. Where there is a prompt, that comes
// on a line of its own.
func (d *dialog) part(all bool) {
	shown := d.text.take(nil, all)
	if len(shown) > 0 && d.prompted {
		shown = append(shown, '\n')
	}
	d.show(shown)
}

// finish shows the rest, at the end of the session.
func (d *dialog) finish(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.text.prompted() {
		d.part(true)
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
