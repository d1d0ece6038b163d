//go:build unix

package terminal

import (
	"errors"
	"sync"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// What the keys send that readKeys handles itself.
const (
	ctrlC         = protocol.Interrupt
	ctrlD         = 0x04
	ctrlZ         = 0x1a
	ctrlBackslash = 0x1c
	escape        = 0x1b
)

// keyDropLine is what the line editor gets instead of Ctrl-C, which would make
// ReadLine return io.EOF (readLine in x/term's terminal.go). The editor passes keys
// that it does not know to its AutoCompleteCallback.
const keyDropLine = ctrlBackslash

// editorKeys maps escape sequences to those that the line editor understands
// (bytesToKey in x/term's terminal.go): other terminals send other sequences for the
// same key. Sequences that are not listed never reach the editor. An unfinished one
// would make it wait for more, and after the mark of a paste it would insert control
// characters into the line.
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

// keyFilter removes from the terminal's input what the line editor cannot handle.
// The editor stops for good at bytes that are not UTF-8: bytesToKey returns
// utf8.RuneError for them, which also means that more input is needed.
type keyFilter struct {
	sequence []byte // an unfinished escape sequence, with the escape character
	char     []byte // an unfinished UTF-8 character
}

// add takes one byte and returns the input for the editor.
func (f *keyFilter) add(b byte) string {
	switch {
	case b == escape:
		f.sequence, f.char = append(f.sequence[:0], b), nil
		return ""
	case len(f.sequence) > 0 && (b >= ' ' || len(f.sequence) > maxSequence):
		return f.addToSequence(b)
	}
	f.sequence = f.sequence[:0] // a control character ends it
	f.char = append(f.char, b)
	for len(f.char) > 0 && utf8.FullRune(f.char) {
		r, n := utf8.DecodeRune(f.char)
		char := string(f.char[:n])
		f.char = f.char[:copy(f.char, f.char[n:])]
		if r != utf8.RuneError {
			return char // b was its last byte
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

// The errors of keyboard.Read.
var (
	errRedraw         = errors.New("the prompt has changed")
	errKeyboardClosed = errors.New("the keyboard is closed")
)

// maxKeys is how many bytes may wait for the line editor.
const maxKeys = 64 << 10

// keyboard is the input of the line editor.
type keyboard struct {
	mu      sync.Mutex // guards the fields below
	changed sync.Cond
	keys    []byte
	redraws int // how many more calls of Read return errRedraw
	drops   int // how many times the line was dropped
	seen    int // the value of drops when the editor read its last keys
	closed  bool
}

func newKeyboard() *keyboard {
	k := &keyboard{}
	k.changed.L = &k.mu
	return k
}

// Read implements io.Reader for the line editor.
func (k *keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.keys) == 0 && k.redraws == 0 && !k.closed {
		k.changed.Wait()
	}
	switch {
	case k.closed:
		return 0, errKeyboardClosed
	case k.redraws > 0:
		k.redraws--
		return 0, errRedraw
	}
	n := copy(p, k.keys)
	k.keys = k.keys[n:]
	k.seen = k.drops
	k.changed.Broadcast()
	return n, nil
}

// put passes keys to the editor. It waits while too many are unread.
func (k *keyboard) put(keys []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.keys) > maxKeys && !k.closed {
		k.changed.Wait()
	}
	k.keys = append(k.keys, keys...)
	k.changed.Broadcast()
}

// dropLine discards the line, and the keys that the editor has not read.
func (k *keyboard) dropLine() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drops++
	k.keys = []byte{keyDropLine}
	k.changed.Broadcast()
}

// dropsSeen returns how many times the line had been dropped when the editor read
// its last keys.
func (k *keyboard) dropsSeen() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen
}

// redraw makes ReadLine return errRedraw twice. x/term draws a changed prompt at the
// start of ReadLine if nothing is drawn yet, and otherwise only in Write (both in its
// terminal.go). Two rounds cover both.
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
