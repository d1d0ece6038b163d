//go:build unix

package main

import (
	"errors"
	"sync"
	"unicode/utf8"
)

// What the keys with a meaning of their own send.
const (
	ctrlC         = 0x03
	ctrlD         = 0x04
	ctrlZ         = 0x1a
	ctrlBackslash = 0x1c
	escape        = 0x1b
)

// keyDropLine is what the line editor gets in place of Ctrl-C, which would end
// it. It hands keys that it does not know to its callback.
const keyDropLine = ctrlBackslash

// editorKeys are the escape sequences that the line editor understands, and
// those that stand for the same on other terminals. What is not here never
// reaches it: an unfinished sequence would make it wait, and the marks of a
// paste would have it insert control bytes.
var editorKeys = map[string]string{
	"[A": "\x1b[A", "OA": "\x1b[A", // up
	"[B": "\x1b[B", "OB": "\x1b[B", // down
	"[C": "\x1b[C", "OC": "\x1b[C", // right
	"[D": "\x1b[D", "OD": "\x1b[D", // left
	"[H": "\x1b[H", "OH": "\x1b[H", "[1~": "\x1b[H", "[7~": "\x1b[H", // home
	"[F": "\x1b[F", "OF": "\x1b[F", "[4~": "\x1b[F", "[8~": "\x1b[F", // end
	"[3~":   "\x1b[3~",                                           // delete
	"[1;3C": "\x1b[1;3C", "[1;5C": "\x1b[1;3C", "f": "\x1b[1;3C", // a word to the right
	"[1;3D": "\x1b[1;3D", "[1;5D": "\x1b[1;3D", "b": "\x1b[1;3D", // a word to the left
	"\x7f": "\x17", // delete the word before
}

// maxSequence is how many bytes an escape sequence may have.
const maxSequence = 32

// keyFilter turns what a terminal sends into what the line editor can bear, which
// stops at bytes that are not UTF-8.
type keyFilter struct {
	sequence []byte // an escape sequence that has not ended, with the escape
	char     []byte // a character that has not ended
}

// add takes one byte and returns what the editor is to get.
func (f *keyFilter) add(b byte) string {
	switch {
	case b == escape:
		f.sequence, f.char = append(f.sequence[:0], b), nil
		return ""
	case len(f.sequence) > 0 && (b >= ' ' || len(f.sequence) > maxSequence):
		return f.addToSequence(b)
	}
	f.sequence = f.sequence[:0] // a control byte ends it
	f.char = append(f.char, b)
	for len(f.char) > 0 && utf8.FullRune(f.char) {
		r, n := utf8.DecodeRune(f.char)
		char := string(f.char[:n])
		f.char = f.char[:copy(f.char, f.char[n:])]
		if r != utf8.RuneError {
			return char // b was the last of it
		}
	}
	return ""
}

func (f *keyFilter) addToSequence(b byte) string {
	f.sequence = append(f.sequence, b)
	body := f.sequence[1:]
	switch {
	case len(body) > maxSequence:
	case body[0] == '[' && (len(body) == 1 || b < '@' || b > '~'): // CSI, up to its final byte
		return ""
	case body[0] == 'O' && len(body) == 1: // SS3
		return ""
	}
	keys := editorKeys[string(body)]
	f.sequence = f.sequence[:0]
	return keys
}

// Why the line editor's Read returns without a key.
var (
	errRedraw   = errors.New("there is another prompt")
	errKeysDone = errors.New("there are no more keys")
)

// maxKeys is how many bytes may wait for the line editor.
const maxKeys = 64 << 10

// keyboard is where the line editor reads keys from.
type keyboard struct {
	mu      sync.Mutex // guards what follows
	changed sync.Cond
	keys    []byte
	redraws int
	drops   int // how often the line was dropped
	given   int // drops when the editor was given keys last
	closed  bool
}

func newKeyboard() *keyboard {
	k := &keyboard{}
	k.changed.L = &k.mu
	return k
}

// Read implements io.Reader, for the line editor.
func (k *keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.keys) == 0 && k.redraws == 0 && !k.closed {
		k.changed.Wait()
	}
	switch {
	case k.closed:
		return 0, errKeysDone
	case k.redraws > 0:
		k.redraws--
		return 0, errRedraw
	}
	n := copy(p, k.keys)
	k.keys = k.keys[n:]
	k.given = k.drops
	k.changed.Broadcast()
	return n, nil
}

// put hands keys to the editor, and waits while it has too many.
func (k *keyboard) put(keys []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.keys) > maxKeys && !k.closed {
		k.changed.Wait()
	}
	k.keys = append(k.keys, keys...)
	k.changed.Broadcast()
}

// dropLine throws away the line, and the keys that the editor has not seen.
func (k *keyboard) dropLine() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drops++
	k.keys = []byte{keyDropLine}
	k.changed.Broadcast()
}

// since returns how often the line had been dropped when the editor was given
// its last keys.
func (k *keyboard) since() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.given
}

// redraw has the editor return, twice: it draws a new prompt where nothing is
// drawn when it is called again, and over what is drawn already only in a Write.
func (k *keyboard) redraw() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.redraws = 2
	k.changed.Broadcast()
}

func (k *keyboard) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.changed.Broadcast()
}
