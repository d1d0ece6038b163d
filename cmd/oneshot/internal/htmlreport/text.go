//go:build unix

package htmlreport

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain makes a text visible: a control character, a character that changes the direction
// of the text, and a byte that is not UTF-8 become escapes. html/template and
// encoding/json do what HTML and JSON need.
func plain(s string) string {
	bad := func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r) || r == utf8.RuneError
	}
	if !strings.ContainsFunc(s, bad) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
		case bad(r) && r != utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// clip shortens a text that the program may have made long.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// size writes a number of bytes for people.
func size(n uint64) string {
	const k = 1024
	if n < k {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/k, 0
	for v >= k && unit < 3 {
		v, unit = v/k, unit+1
	}
	return fmt.Sprintf("%.3g %ciB", v, "KMGT"[unit])
}
