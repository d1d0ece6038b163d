//go:build unix

// Package display formats text for the person at the terminal. Most of what the
// client prints comes from other processes: their names, their paths, the output
// of their sessions. None of it is trusted. The package handles strings only and
// knows nothing about processes, sessions or files.
package display

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendEscaped appends text to dst. It escapes everything that a terminal might
// act on: control characters except newline and tab, invisible characters, and
// bytes that are not valid UTF-8.
func AppendEscaped(dst, text []byte) []byte {
	for {
		plain := 0 // most text is plain
		for plain < len(text) && (text[plain] >= ' ' && text[plain] < 0x7f || text[plain] == '\n' || text[plain] == '\t') {
			plain++
		}
		dst, text = append(dst, text[:plain]...), text[plain:]
		if len(text) == 0 {
			return dst
		}
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1, r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			dst = fmt.Appendf(dst, `\x%02x`, text[0])
		case r < utf8.RuneSelf || unicode.IsGraphic(r):
			dst = append(dst, text[:n]...)
		case r < 0x10000:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		}
		text = text[n:]
	}
}

// Escape returns s, escaped as AppendEscaped does it. The result may have several
// lines.
func Escape(s string) string { return string(AppendEscaped(nil, []byte(s))) }

// EscapeLine is like Escape, but also escapes newlines.
func EscapeLine(s string) string { return strings.ReplaceAll(Escape(s), "\n", `\n`) }

// maxCell is the number of characters that a table cell may have.
const maxCell = 160

// Cell returns s for one cell of a table: escaped, without tabs and newlines, and
// shortened if it is very long.
func Cell(s string) string {
	const enough = maxCell * utf8.UTFMax
	if len(s) > enough { // escaping makes a text longer, up to six times
		s = s[:enough] + "..."
	}
	s = strings.ReplaceAll(EscapeLine(s), "\t", `\t`)
	if r := []rune(s); len(r) > maxCell {
		s = string(r[:maxCell-len("...")]) + "..."
	}
	return s
}

// Count returns n and the noun that it counts, in the singular or the plural.
func Count(n int, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return strconv.Itoa(n) + " " + plural
}
