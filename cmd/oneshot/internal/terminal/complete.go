//go:build linux

package terminal

import (
	"maps"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/commandnames"
)

// commandWords has the words that a command takes as its first argument.
var commandWords = map[string][]string{
	"profile": {"cpu", "heap", "allocs", "block", "mutex", "goroutine", "threadcreate"},
	"stderr":  {"on", "off"},
}

// candidates returns the completions of word, which follows the text before.
func candidates(before, word string) []string {
	words := strings.Fields(before)
	var all []string
	switch {
	case len(words) == 0, len(words) == 1 && words[0] == "help":
		all = slices.Collect(maps.Keys(commandnames.Commands))
	case strings.HasPrefix(word, "-"):
		all = slices.Clone(commandnames.Commands[words[0]])
	case len(words) == 1:
		all = slices.Clone(commandWords[words[0]])
	}
	all = slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, word) })
	slices.Sort(all)
	return all
}

// complete completes the word that ends at pos as far as its candidates agree. If
// there is only one, a space follows the word. If there are several, complete
// returns them too.
func complete(line string, pos int) (newLine string, newPos int, words []string) {
	before, after := line[:pos], line[pos:]
	if after != "" && after[0] != ' ' { // the cursor is inside a word
		return line, pos, nil
	}
	start := strings.LastIndexByte(before, ' ') + 1
	word := before[start:]
	all := candidates(before[:start], word)
	switch len(all) {
	case 0:
		return line, pos, nil
	case 1:
		return before[:start] + all[0] + " " + strings.TrimPrefix(after, " "), start + len(all[0]) + 1, nil
	}
	common := all[0]
	for _, s := range all {
		for !strings.HasPrefix(s, common) {
			common = common[:len(common)-1]
		}
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
