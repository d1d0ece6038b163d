//go:build unix

package terminal

import (
	"strings"
	"unicode/utf8"
)

// Ctrl-R searches the history, as in a shell. The line editor of x/term has no search.
// It passes keys that it does not know to its AutoCompleteCallback, but handles others,
// such as the backspace, itself. So searchKeys, which stands between the keyboard and
// the editor, changes those during a search.

const (
	ctrlG = 0x07
	ctrlR = 0x12

	keySearchBack = 0x1d // what the editor gets for the backspace during a search
	keySearchEnd  = 0x1e // what it gets before a key that ends the search
)

// search is a search in the history. All of it is used by the editor's goroutine only.
type search struct {
	on     bool
	text   string // what is searched for
	at     int    // the entry of the history that has it
	line   string // that entry; without one, the line before the search
	before string
	failed bool // no further entry has it
}

// find looks for an entry with the text, from an index to older ones.
func (s *search) find(h *lineHistory, from int) {
	s.failed = false
	for i := from; i < h.Len(); i++ {
		if line := h.At(i); strings.Contains(line, s.text) {
			s.at, s.line = i, line
			return
		}
	}
	s.failed = true
}

// older looks for the next older entry, which differs from this one.
func (s *search) older(h *lineHistory) {
	from := s.at
	for from < h.Len() && h.At(from) == s.line {
		from++
	}
	s.find(h, from)
}

// pos returns where the text is in the line.
func (s *search) pos() int {
	if i := strings.LastIndex(s.line, s.text); i >= 0 && s.text != "" {
		return i
	}
	return len(s.line)
}

func (s *search) prompt() string {
	if s.failed {
		return "(not found) " + s.text + ": "
	}
	return "(search) " + s.text + ": "
}

// searchKeys is the input of the editor: the keyboard, with some keys changed during a
// search.
type searchKeys struct {
	keyboard *keyboard
	search   *search
	unread   []byte
}

// Read returns at most one key during a search, because the key can end it.
func (k *searchKeys) Read(p []byte) (int, error) {
	if len(k.unread) == 0 {
		n, err := k.keyboard.Read(p)
		if err != nil {
			return 0, err
		}
		k.unread = append(k.unread, p[:n]...)
	}
	var n int
	if k.search.on {
		var keys string
		keys, n = searchKey(k.unread)
		k.unread = k.unread[n:]
		return copy(p, keys), nil
	}
	n = strings.IndexByte(string(k.unread), ctrlR)
	switch {
	case n < 0:
		n = len(k.unread)
	case n == 0:
		n = 1
	}
	n = copy(p, k.unread[:n])
	k.unread = k.unread[n:]
	return n, nil
}

// searchKey returns what the editor gets for the first key of unread, and its length.
func searchKey(unread []byte) (keys string, n int) {
	switch first := unread[0]; {
	case first == 0x7f || first == '\b':
		return string(rune(keySearchBack)), 1
	case first == ctrlR || first == ctrlG || first == keyDropLine:
		return string(rune(first)), 1
	case first == escape: // keyFilter lets whole sequences through only
		n = 2
		for n < len(unread) && (n == 2 || unread[n-1] < '@' || unread[n-1] > '~') {
			n++
		}
		return string(rune(keySearchEnd)) + string(unread[:n]), n
	case first < ' ':
		return string(rune(keySearchEnd)) + string(rune(first)), 1
	}
	_, n = utf8.DecodeRune(unread)
	return string(unread[:n]), n
}

// searchFor handles a key during a search, or the one that begins it.
func (d *dialog) searchFor(line string, key rune) (newLine string, newPos int, ok bool) {
	s := &d.search
	switch {
	case !s.on:
		d.mu.Lock()
		prompted := d.prompted
		d.mu.Unlock()
		if key != ctrlR || !prompted { // without a prompt there is no place for it
			return "", 0, false
		}
		*s = search{on: true, line: line, before: line}
	case key == ctrlR && s.text != "":
		s.older(d.history)
	case key == ctrlR:
	case key == keySearchBack:
		_, size := utf8.DecodeLastRuneInString(s.text)
		s.text, s.line = s.text[:len(s.text)-size], s.before
		s.failed = false
		if s.text != "" {
			s.find(d.history, 0)
		}
	case key == ctrlG:
		s.on, s.line, s.text = false, s.before, ""
	case key == keySearchEnd:
		s.on = false
	case key >= ' ':
		s.text += string(key)
		s.find(d.history, s.at)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.searchPrompt = ""
	if s.on {
		d.searchPrompt = s.prompt()
	}
	d.setPrompt(d.prompted)
	d.tty.batched(func() { _, _ = d.editor.Write(nil) }) // it draws the new prompt
	return s.line, s.pos(), true
}
