//go:build unix

package display

import (
	"bytes"
	"unicode/utf8"
)

// minWidth is the smallest width of a terminal for which text is wrapped.
const minWidth = 20

// AppendWrapped appends a line to dst, without a line end. It breaks the line between
// words, so that no part has more than width characters. The parts after the first begin
// with two spaces more than the line. A word that is too long stays whole, and the
// terminal breaks it. A line with a tab is not broken, because its width is not known.
func AppendWrapped(dst, line []byte, width int) []byte {
	rest := bytes.TrimLeft(line, " ")
	indent := len(line) - len(rest)
	if width < minWidth || indent > width/2 || utf8.RuneCount(line) <= width || bytes.IndexByte(line, '\t') >= 0 {
		return append(dst, line...)
	}
	dst = append(dst, line[:indent]...)
	end := lineEnd(rest, width-indent)
	dst = append(dst, rest[:end]...)
	next := append([]byte{'\n'}, bytes.Repeat([]byte{' '}, indent+2)...)
	for {
		if rest = bytes.TrimLeft(rest[end:], " "); len(rest) == 0 {
			return dst
		}
		end = lineEnd(rest, width-indent-2)
		dst = append(append(dst, next...), rest[:end]...)
	}
}

// lineEnd returns where to break the text: at the last space that leaves at most room
// characters before it, or else at the first space, or at the end.
func lineEnd(text []byte, room int) int {
	if utf8.RuneCount(text) <= room {
		return len(text)
	}
	end, n := -1, 0
	for i, r := range string(text) {
		if r == ' ' && (n <= room || end < 0) {
			end = i
		}
		if n++; n > room && end >= 0 {
			break
		}
	}
	if end < 0 {
		return len(text)
	}
	return len(bytes.TrimRight(text[:end], " "))
}
