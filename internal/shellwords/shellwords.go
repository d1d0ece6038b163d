// Package shellwords splits a line into words as a shell does.
package shellwords

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Split splits a line into words as a shell does. In 'single quotes' everything is
// literal. In "double quotes" a backslash makes a following " or \ literal. Outside
// of quotes a backslash makes any character literal. Nothing is expanded, and there
// are no comments.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for rest := line; rest != ""; {
		c := rest[0]
		switch {
		case c == '\'':
			text, after, ok := strings.Cut(rest[1:], "'")
			if !ok {
				return nil, errors.New("the ' has no other end; write it within double quotes if it is meant literally")
			}
			word.WriteString(text)
			rest, inWord = after, true
		case c == '"':
			after, ok := cutQuoted(&word, rest[1:])
			if !ok {
				return nil, errors.New(`the " has no other end; write it within single quotes if it is meant literally`)
			}
			rest, inWord = after, true
		case c == '\\' && len(rest) > 1:
			word.WriteByte(rest[1])
			rest, inWord = rest[2:], true
		case isBlank(c):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
			rest = rest[1:]
		default:
			word.WriteByte(c)
			rest, inWord = rest[1:], true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// cutQuoted writes the text before the closing double quote to word, and returns the
// text after it. ok reports whether there is a closing quote.
func cutQuoted(word *strings.Builder, s string) (rest string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		word.WriteByte(s[i])
	}
	return "", false
}

// LastWord returns where the last word of a line begins, which may be unfinished. It is
// the length of the line if a blank ends the line.
func LastWord(line string) int {
	start := -1
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case isBlank(c):
			start = -1
			continue
		case start < 0:
			start = i
		}
		switch c := line[i]; c {
		case '\\':
			i++
		case '\'', '"':
			for i++; i < len(line) && line[i] != c; i++ {
				if c == '"' && line[i] == '\\' {
					i++
				}
			}
		}
	}
	if start < 0 {
		return len(line)
	}
	return start
}

// isBlank reports whether c is an ASCII space character.
func isBlank(c byte) bool { return c < 0x80 && unicode.IsSpace(rune(c)) }

// First returns the first word of a line, which is the name of the command. Quotes
// and backslashes have no special meaning in it.
func First(line string) string {
	line = strings.TrimSpace(line)
	if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
		return line[:i]
	}
	return line
}

// NameAtEnd returns the longest name at the end of a text, which may be an expression.
func NameAtEnd(text string) string {
	isOther := func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	if i := strings.LastIndexFunc(text, isOther); i >= 0 {
		_, size := utf8.DecodeRuneInString(text[i:])
		return text[i+size:]
	}
	return text
}
