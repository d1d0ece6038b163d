// Package notice publishes the description of a manhole as the name of a page of
// memory. /proc/PID/maps shows this name to the same user and to root. The package also
// parses the name. It knows nothing about processes and windows.
package notice

import (
	"bytes"
	"os"
	pathpkg "path"
	"path/filepath"
	"strings"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// prefix is the first word of the name.
const prefix = "oneshot:v1"

// Notice describes the manhole of a process.
type Notice struct {
	Oneshot, Activate string // names of signals, such as SIGUSR2; empty if there is none
	Path              string // the path of the socket, with %p for the pid; absolute, or @name
	Trigger           string // the absolute path of the trigger file; empty if there is none, or if it is not known
	ByProgram         bool   // the program receives the signals itself (Options.NoReceiver)
}

// Of returns the notice of a manhole. The paths may be relative to the current directory.
// The path of the socket keeps its %p, because the pid differs in another pid namespace. A
// signal may be nil.
func Of(path, trigger string, oneshot, activate os.Signal, byProgram bool) Notice {
	n := Notice{Path: path, ByProgram: byProgram}
	if abs, err := filepath.Abs(path); err == nil && !unixsock.IsAbstract(path) {
		n.Path = abs
	}
	if abs, err := filepath.Abs(trigger); err == nil && trigger != "" {
		n.Trigger = abs
	}
	if oneshot != nil {
		n.Oneshot = sigset.NameOf(oneshot)
	}
	if activate != nil {
		n.Activate = sigset.NameOf(activate)
	}
	return n
}

// maxName is how many bytes a name can have (memfd_create(2)).
const maxName = 249

// String returns the name, such as
// "oneshot:v1 signal=SIGUSR2 path=/tmp/manhole-%p". If there is no room for the path of
// the trigger file, it is left out.
func (n Notice) String() string {
	text := n.text()
	if len(text) > maxName {
		n.Trigger = ""
		text = n.text()
	}
	return text
}

func (n Notice) text() string {
	words := []string{prefix}
	if n.Oneshot != "" {
		words = append(words, "signal="+n.Oneshot)
	}
	if n.Activate != "" {
		words = append(words, "activate="+n.Activate)
	}
	if n.Trigger != "" {
		words = append(words, "trigger="+encode(n.Trigger))
	}
	if n.ByProgram {
		words = append(words, "receiver=program")
	}
	return strings.Join(append(words, "path="+n.Path), " ")
}

// Parse returns the first notice in the text of a maps file
// (proc_pid_maps(5)).
func Parse(maps []byte) (Notice, bool) {
	for line := range bytes.Lines(maps) {
		if n, ok := ParseLine(line); ok {
			return n, true
		}
	}
	return Notice{}, false
}

// ParseLine parses a line such as
//
//	7f28-7f29 r--p 00000000 00:01 21621    /memfd:oneshot:v1 signal=SIGUSR2 path=/tmp/manhole-%p (deleted)
//
// The path is the last word and may contain blanks. Unknown words are ignored, so
// that later versions can add words.
func ParseLine(line []byte) (n Notice, ok bool) {
	text := strings.TrimSuffix(string(line), "\n")
	for range 5 { // address, permissions, offset, device, inode
		var found bool
		if _, text, found = strings.Cut(text, " "); !found {
			return Notice{}, false
		}
	}
	text, ok = strings.CutPrefix(strings.TrimLeft(text, " "), "/memfd:"+prefix+" ")
	if !ok {
		return Notice{}, false
	}
	text, ok = strings.CutSuffix(text, " (deleted)")
	if !ok {
		return Notice{}, false
	}
	// The kernel escapes a line feed in a name as \012. It escapes nothing else, not
	// even the backslash (show_map_vma in fs/proc/task_mmu.c).
	text = strings.ReplaceAll(text, `\012`, "\n")
	for {
		if path, ok := strings.CutPrefix(text, "path="); ok {
			n.Path = path
			break
		}
		var word string
		if word, text, ok = strings.Cut(text, " "); !ok {
			return Notice{}, false
		}
		n.setWord(word)
	}
	if !isSignalName(n.Oneshot) || !isSignalName(n.Activate) || !isSocketPath(n.Path) || n.Trigger != "" && !isFilePath(n.Trigger) {
		return Notice{}, false
	}
	return n, true
}

// setWord sets what a word of a notice says.
func (n *Notice) setWord(word string) {
	switch name, value, _ := strings.Cut(word, "="); name {
	case "signal":
		n.Oneshot = value
	case "activate":
		n.Activate = value
	case "trigger":
		n.Trigger = decode(value)
	case "receiver":
		n.ByProgram = value == "program"
	}
}

// isSignalName reports whether s looks like the name of a signal, or is empty.
func isSignalName(s string) bool {
	if s == "" {
		return true
	}
	rest, ok := strings.CutPrefix(s, "SIG")
	return ok && rest != "" && len(rest) <= 12 && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") == ""
}

func isSocketPath(path string) bool {
	if strings.HasPrefix(path, "@") {
		return len(path) > 1 && !strings.ContainsRune(path, 0)
	}
	return isFilePath(path)
}

func isFilePath(path string) bool {
	return strings.HasPrefix(path, "/") && pathpkg.Clean(path) == path && path != "/" && !strings.ContainsRune(path, 0)
}

// encode replaces the bytes of a path that would end the word, and the percent sign, by
// %XX.
func encode(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c <= ' ' || c == '%' || c == 0x7f {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

// decode is the inverse of encode. A percent sign without two digits stays.
func decode(word string) string {
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] == '%' && i+2 < len(word) {
			high, low := strings.IndexByte(hexDigits, word[i+1]), strings.IndexByte(hexDigits, word[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(word[i])
	}
	return b.String()
}
