package oneshot

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text that comes from elsewhere, for a terminal or a log line.

// printable is s if a terminal can show it without harm, quoted if not.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// escapeControls is s without what could do harm to a terminal.
func escapeControls(s string) string {
	var b []byte
	for rest := []byte(s); len(rest) > 0; {
		var size int
		b, size = appendHarmless(b, rest)
		rest = rest[size:]
	}
	return string(b)
}

// appendHarmless appends the first character of data to b, or its bytes as \xNN
// if it is none that prints, and returns how many bytes of data that were.
func appendHarmless(b, data []byte) (_ []byte, size int) {
	r, size := utf8.DecodeRune(data)
	if r == '\n' || r == '\t' || r != utf8.RuneError && unicode.IsPrint(r) {
		return append(b, data[:size]...), size
	}
	for _, c := range data[:size] {
		b = fmt.Appendf(b, `\x%02x`, c)
	}
	return b, size
}

// clip shortens s to about max bytes, between two characters.
func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "") + "..."
}

// harmless is the text of an error for a terminal: it may hold anything that the
// program has been sent.
func harmless(err error) string {
	return escapeControls(err.Error())
}
