// Package notice publishes the description of a manhole as the name of a page of
// memory. /proc/PID/maps shows this name to the same user and to root. The package also
// parses the name. It knows nothing about processes and windows.
package notice

import (
	"bytes"
	pathpkg "path"
	"strings"
)

// prefix is the first word of the name.
const prefix = "oneshot:v1"

// Notice describes the manhole of a process.
type Notice struct {
	Oneshot, Activate string // names of signals, such as SIGUSR2; empty if there is none
	Path              string // the path of the socket, with %p for the pid; absolute, or @name
}

// String returns the name, such as
// "oneshot:v1 signal=SIGUSR2 path=/tmp/manhole-%p".
func (n Notice) String() string {
	words := []string{prefix}
	if n.Oneshot != "" {
		words = append(words, "signal="+n.Oneshot)
	}
	if n.Activate != "" {
		words = append(words, "activate="+n.Activate)
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
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "signal":
			n.Oneshot = value
		case "activate":
			n.Activate = value
		}
	}
	if !isSignalName(n.Oneshot) || !isSignalName(n.Activate) || !isSocketPath(n.Path) {
		return Notice{}, false
	}
	return n, true
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
	if strings.ContainsRune(path, 0) {
		return false
	}
	if strings.HasPrefix(path, "@") {
		return len(path) > 1
	}
	return strings.HasPrefix(path, "/") && pathpkg.Clean(path) == path && path != "/"
}
