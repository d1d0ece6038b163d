//go:build unix

package terminal

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/shellwords"
)

// candidates returns the completions of word, which follows the text before: those that
// every session has.
func candidates(before, word string) []string {
	words := strings.Fields(before)
	var all []string
	switch {
	case len(words) == 0, len(words) == 1 && words[0] == "help":
		for _, c := range command.Completions() {
			all = append(all, c.Name)
		}
	case strings.HasPrefix(word, "-"):
		all = slices.Clone(described(words[0]).Flags)
	case len(words) == 1:
		all = slices.Clone(described(words[0]).Words)
	}
	all = slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, word) })
	slices.Sort(all)
	return all
}

// described returns the description of a command; an empty one if it is not a
// built-in command.
func described(name string) *command.Command {
	for _, c := range command.Completions() {
		if c.Name == name {
			return c
		}
	}
	return new(command.Command)
}

// complete completes the word that ends at pos as far as its candidates agree. If
// there is only one, a space follows the word, unless it is a directory. If there are
// several, complete returns them too.
func complete(line string, pos int, candidates func(before, word string) []string) (newLine string, newPos int, words []string) {
	before, after := line[:pos], line[pos:]
	if after != "" && after[0] != ' ' { // the cursor is inside a word
		return line, pos, nil
	}
	start := shellwords.LastWord(before)
	word := before[start:]
	all := candidates(before[:start], word)
	switch {
	case len(all) == 0:
		return line, pos, nil
	case all[len(all)-1] == protocol.MoreWords: // the words that are not there may differ
		return line, pos, all
	case len(all) == 1 && strings.HasSuffix(all[0], "/"):
		return before[:start] + all[0] + after, start + len(all[0]), nil
	case len(all) == 1:
		return before[:start] + all[0] + " " + strings.TrimPrefix(after, " "), start + len(all[0]) + 1, nil
	}
	common := all[0]
	for _, s := range all {
		for !strings.HasPrefix(s, common) {
			common = common[:len(common)-1]
		}
	}
	for !utf8.ValidString(common) { // the words differ in the middle of a character
		common = common[:len(common)-1]
	}
	if len(common) < len(word) { // some of the words are quoted
		return line, pos, all
	}
	return before[:start] + common + after, start + len(common), all
}

// wrapWords returns the words in lines of at most width characters.
func wrapWords(words []string, width int) string {
	var b strings.Builder
	used := 0
	for _, w := range words {
		switch {
		case used == 0:
		case used+2+len(w) > width:
			b.WriteByte('\n')
			used = 0
		default:
			b.WriteString("  ")
			used += 2
		}
		b.WriteString(w)
		used += len(w)
	}
	return b.String() + "\n"
}
