// Package plaintext makes text for people: numbers with their nouns, and untrusted
// text in a form that is safe for a terminal or a log line. It does not depend on
// manholes.
package plaintext

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Line returns s unchanged if a terminal can show it safely in one line. Otherwise
// it returns s quoted as in Go.
func Line(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// Escape returns s with \xNN in place of each byte that could harm a terminal. It
// keeps line ends and tabs.
func Escape(s string) string {
	var b []byte
	for rest := []byte(s); len(rest) > 0; {
		var size int
		b, size = AppendEscaped(b, rest)
		rest = rest[size:]
	}
	return string(b)
}

// AppendEscaped appends the first character of data to b. If the character is not
// printable, it appends each byte as \xNN. It returns the extended slice, and how
// many bytes of data it used.
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

// Clip returns s if it has at most max bytes. Otherwise it returns about max bytes
// of s, cut between two characters, and "...".
//
// It is not inlined, because that would make each of its many callers larger. This
// holds for the other functions with go:noinline, too.
//
//go:noinline
func Clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return Cut(s, max) + "..."
}

// Cut returns the first n bytes of s at most. It does not cut a character in half.
//
//go:noinline
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i >= 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// Error returns the text of an error, escaped for a terminal. The text of an error
// may contain anything that the program has received.
func Error(err error) string {
	return Escape(err.Error())
}

// Plural returns a count with its noun: "1 goroutine", "2 goroutines".
//
//go:noinline
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Duration returns a duration rounded to about three digits.
//
//go:noinline
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
		return fmt.Sprintf("%s\n%*s %s", left, width+2, "", right)
	}
	return fmt.Sprintf("%-*s %s", width, left, right)
}

// IsSlip reports whether one of a and b may be a misspelling of the other: they
// differ in one place by at most two letters. For example, OneshotOn and manhole's
// own onshot_on differ in that way from oneshot_on.
func IsSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 2 && len(b) <= 2
}

// Process names a process by its pid as the kernel reports it to this one. The pid is 0 for a
// process in a pid namespace that cannot be seen from here.
func Process(pid int) string {
	if pid == 0 {
		return "a process of another pid namespace"
	}
	return fmt.Sprintf("pid %d", pid)
}
