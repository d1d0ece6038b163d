package dump

import (
	"strings"
	"unicode/utf8"
)

// length returns the number of characters of a text.
func length(text string) int { return utf8.RuneCountInString(text) }

// clip returns the text, or its beginning and "..." if it has more characters than width.
func clip(text string, width int) string {
	if length(text) <= width {
		return text
	}
	return string([]rune(text)[:width-len("...")]) + "..."
}

// wrap breaks a text between words into lines of at most screenWidth characters. All
// lines but the first begin with indent spaces. A longer word is clipped.
func wrap(text string, indent int) (lines []string) {
	for length(text) > screenWidth {
		runes := []rune(text)
		begin, end := 0, screenWidth
		if len(lines) > 0 {
			begin = indent
		}
		for end > begin && runes[end] != ' ' {
			end--
		}
		if end == begin { // one word
			return append(lines, clip(text, screenWidth))
		}
		lines = append(lines, string(runes[:end]))
		text = strings.Repeat(" ", indent) + strings.TrimLeft(string(runes[end:]), " ")
	}
	return append(lines, text)
}
