//go:build unix

package terminal

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// readKeys reads the keyboard until the dialog ends.
func (d *dialog) readKeys() {
	var filter keyFilter
	buf := make([]byte, 1<<10)
	for {
		n, err := d.tty.read(buf)
		switch {
		case errors.Is(err, errStopped):
			return
		case errors.Is(err, io.EOF): // the same as Ctrl-D
			d.leave()
			return
		case err != nil:
			d.end(outcome{err: fmt.Errorf("the terminal: %w", err)})
			return
		}
		var keys []byte
		for _, b := range buf[:n] {
			switch {
			case b == ctrlBackslash, d.leaving.Load() && (b == ctrlC || b == ctrlD):
				d.end(outcome{})
				return
			case b == ctrlC:
				filter, keys = keyFilter{}, nil
				d.interrupt()
			case b == ctrlZ:
				d.keyboard.put(keys)
				keys = nil
				_, _ = d.tty.Write([]byte("\r\n"))
				d.tty.suspend(d.continued)
				d.mu.Lock()
				d.text.above = false
				d.mu.Unlock()
				d.keyboard.redraw()
			default:
				keys = append(keys, filter.add(b)...)
				d.typed.Store(b >= ' ' || d.typed.Load())
			}
		}
		if len(keys) > 0 && !d.leaving.Load() {
			d.keyboard.put(keys)
		}
	}
}

// interrupt stops the running command of the session and drops the line.
func (d *dialog) interrupt() {
	d.interrupted.Store(true)
	d.sender.interrupt()
	d.keyboard.dropLine()
}

// leave sends the end of the input. The session may still send output, which is
// shown.
func (d *dialog) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.prompted {
		d.setPrompt(false)
		d.show([]byte(sessionPrompt + "\n"))
	}
	d.leaving.Store(true)
	d.sender.end()
}

// edit runs the line editor.
func (d *dialog) edit() {
	for {
		line, err := d.editor.ReadLine()
		switch {
		case errors.Is(err, errRedraw):
			d.tty.batched(func() { _, _ = d.editor.Write(nil) })
		case errors.Is(err, io.EOF): // Ctrl-D in an empty line
			d.typed.Store(false)
			d.leave()
			return
		case err != nil:
			return
		default:
			d.enter(line)
		}
	}
}

// enter sends a line.
func (d *dialog) enter(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.typed.Store(false)
	d.atNewLine() // because of Enter
	if !d.sender.line(line, d.keyboard.dropsSeen()) {
		d.show([]byte("not sent: too many lines wait for the program already\n"))
		return
	}
	if words := strings.Fields(line); len(words) > 0 && (words[0] == "exit" || words[0] == "quit") {
		d.exiting = true
	}
	switch {
	case d.prompted:
		d.setPrompt(false)
	case len(d.ahead) < maxAhead:
		d.ahead = append(d.ahead, line)
	}
}

// key handles the keys that the line editor does not know. It is the editor's
// AutoCompleteCallback.
func (d *dialog) key(line string, pos int, key rune) (newLine string, newPos int, ok bool) {
	// The editor unlocks its mutex around this call and would unlock it a second
	// time if a panic passed through it.
	defer d.recoverPanic()
	switch key {
	case keyDropLine:
		d.search.on = false
		d.dropLine(line)
		return "", 0, true
	case '\t':
		newLine, newPos = d.completeLine(line, pos)
		return newLine, newPos, true
	}
	return d.searchFor(line, key)
}

// completeLine completes the line. A second Tab in the same place lists the
// candidates.
func (d *dialog) completeLine(line string, pos int) (newLine string, newPos int) {
	newLine, newPos, candidates := d.complete(line, pos)
	if newLine == line && len(candidates) > 0 && d.tabbed == line[:pos] {
		width, _ := d.tty.size()
		d.mu.Lock()
		d.show([]byte(wrapWords(candidates, width-1)))
		d.text.above = false
		d.mu.Unlock()
	}
	d.tabbed = newLine[:newPos]
	return newLine, newPos
}

// dropLine shows that the line was not sent. The session sends another prompt.
func (d *dialog) dropLine(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.typed.Store(false)
	d.searchPrompt = ""
	dropped := line + "^C\n"
	if d.prompted {
		dropped = d.promptText() + dropped
	}
	if d.interrupted.Swap(false) { // no prompt has come since Ctrl-C
		d.prompted = false
		d.ahead, d.exiting = nil, false
	}
	d.setPrompt(d.prompted) // which is not that of a search any more
	d.show([]byte(dropped))
	d.atNewLine()
}
