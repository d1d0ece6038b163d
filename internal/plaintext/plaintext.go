// Package plaintext makes text for people: numbers with their nouns, and text
// from elsewhere that a terminal or a log line can show without harm. It knows
// nothing of manholes.
package plaintext

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Line returns s as it is if a terminal can show it in one line without
// harm, and quoted if not.
func Line(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// Escape returns s with \xNN for each byte that could do harm to a
// terminal. Line ends and tabs stay.
func Escape(s string) string {
	var b []byte
	for rest := []byte(s); len(rest) > 0; {
		var size int
		b, size = AppendEscaped(b, rest)
		rest = rest[size:]
	}
	return string(b)
}

// AppendEscaped appends the first character of data to b, or its bytes as \xNN
// if it does not print. It returns how many bytes of data it used.
func AppendEscaped(b, data []byte) (_ []byte, size int) {
	r, size := utf8.DecodeRune(data)
	if r == '\n' || r == '\t' || r != utf8.RuneError && unicode.IsPrint(r) {
		return append(b, data[:size]...), size
	}
	for _, c := range data[:size] {
		b = fmt.Appendf(b, `\x%02x`, c)
	}
	return b, size
}

// Clip returns at most about max bytes of s, cut between two characters, with
// "..." if something is missing.
func Clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "") + "..."
}

// Error returns the text of an error, escaped for a terminal: it may contain
// anything that the program has received.
func Error(err error) string {
	return Escape(err.Error())
}

// Plural returns a count with its noun: "1 goroutine", "2 goroutines".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Duration returns a duration with about three digits.
func Duration(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// Columns returns a line of two columns, or two lines if the left column is too
// wide.
func Columns(left, right string) string {
	const width = 24
	if len(left) > width {
		left += "\n  " + strings.Repeat(" ", width)
	}
	return fmt.Sprintf("%-*s %s", width, left, right)
}

// IsSlip reports whether a and b differ in one place by at most two letters, as
// OneshotOn and manhole's own onshot_on do from oneshot_on: one may be a misspelling
// of the other.
func IsSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 2 && len(b) <= 2
}
