package command

import (
	"slices"
	"strings"
)

// readers are the commands that change nothing in the program. Those that show a setting
// change it if they have an argument. A profile or a trace is there too: it costs
// something, but leaves nothing.
var readers = []string{
	"screen", "stacks", "goroutine", "mem", "metrics", "build", "env", "fds", "threads", "proc", "signals", "profile", "trace",
	"locals", "print", "sections", "help", "history", "sessions",
}

// shows are the commands that show a setting.
var shows = []string{"setgc", "memlimit", "maxprocs", "blockrate", "mutexfraction"}

// changing are the flags with which these commands change something, or may do harm.
var changing = []string{"o", "force", "racy", "end"}

// ReadOnly reports whether a line changes nothing in the program. words are the name of
// the command and its arguments. A command of the program is not known here, so that it
// may change everything.
func ReadOnly(words []string) bool {
	words, _ = CutJSON(words)
	switch {
	case len(words) == 0:
		return false
	case slices.Contains(shows, words[0]):
		return len(words) == 1
	}
	return slices.Contains(readers, words[0]) && !slices.ContainsFunc(changing, func(flag string) bool { return HasFlag(words, flag) })
}

// HasFlag reports whether a word may be a flag with that name.
func HasFlag(words []string, flag string) bool {
	return slices.ContainsFunc(words[1:], func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		return strings.HasPrefix(word, "-") && name == flag
	})
}

// Binary returns the ending of the file that a line delivers, or "" if its output is text.
func Binary(words []string) string {
	words, _ = CutJSON(words)
	switch {
	case words[0] == "trace":
		return ".trace"
	case words[0] == "profile" && len(words) > 1:
		return ".pb.gz"
	}
	return ""
}
