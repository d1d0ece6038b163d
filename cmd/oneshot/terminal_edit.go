//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// read reads the keys.
func (d *dialog) read() {
	var filter keyFilter
	buf := make([]byte, 1<<10)
	for {
		n, err := d.tty.read(buf)
		switch {
		case errors.Is(err, errStopped):
			return
		case errors.Is(err, io.EOF): // as Ctrl-D
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

// interrupt stops what runs in the session, and throws the line away.
func (d *dialog) interrupt() {
	d.interrupted.Store(true)
	d.send.interrupt()
	d.keyboard.dropLine()
}

// leave sends the end of the input. The rest of what the session says is shown.
func (d *dialog) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.prompted {
		d.setPrompt(false)
		d.show([]byte(sessionPrompt + "\n"))
	}
	d.leaving.Store(true)
	d.send.end()
}

// edit is the line editor.
func (d *dialog) edit() {
	for {
		line, err := d.term.ReadLine()
		switch {
		case errors.Is(err, errRedraw):
			d.tty.together(func() { _, _ = d.term.Write(nil) })
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
	d.text.begun = false // the cursor is at the start of a line
	if !d.send.line(line, d.keyboard.since()) {
		d.show([]byte("not sent: the program has too many lines waiting\n"))
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

// key acts on the keys that the line editor does not know. It implements
// term.Terminal.AutoCompleteCallback.
func (d *dialog) key(line string, pos int, key rune) (newLine string, newPos int, ok bool) {
	defer d.caught() // the editor does not have its lock now, and would unlock it once more
	switch key {
	case keyDropLine:
		d.drop(line)
		return "", 0, true
	case '\t':
		newLine, newPos, several := d.complete(line, pos)
		if newLine == line && len(several) > 0 {
			if d.tabbed == line[:pos] {
				width, _ := d.tty.size()
				d.mu.Lock()
				d.show([]byte(inLines(several, width-1)))
				d.mu.Unlock()
			}
			d.tabbed = line[:pos]
		} else {
			d.tabbed = newLine[:newPos]
		}
		return newLine, newPos, true
	}
	return "", 0, false
}

// drop leaves the line on the screen, with the sign that it was not sent. The
// session gives another prompt.
func (d *dialog) drop(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.typed.Store(false)
	shown := line + "^C\n"
	if d.prompted {
		shown = d.promptText() + shown
	}
	if d.interrupted.Swap(false) { // no prompt has come since
		d.setPrompt(false)
		d.ahead, d.exiting = nil, false
	}
	d.show([]byte(shown))
	d.text.begun = false
}
