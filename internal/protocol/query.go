package protocol

import (
	"fmt"
	"strings"
)

// A client with a line editor can ask a console how a line may go on, so that it can
// complete the names that only the program knows. A query is a line: the byte Query, an
// id of IDSize characters, and the text before the cursor. The console answers it where
// it would read a command, with a line and without a new prompt: the byte Query, the
// id, and the words, each with the byte WordSeparator before it.

const (
	// Query begins a query and its answer (ENQ).
	Query = 0x05
	// WordSeparator is before each word of an answer (US).
	WordSeparator = 0x1f
	// IDSize is the length of an id, which consists of hexadecimal digits.
	IDSize = 8
)

// Bounds of an answer. If there are more words, the last one is MoreWords.
const (
	MaxWords  = 500
	MaxAnswer = 32 << 10 // bytes
	MoreWords = "..."
)

// QueryLine returns a query, without the line end. id is the number of the query.
func QueryLine(id uint32, text string) string { return fmt.Sprintf("%c%08x%s", Query, id, text) }

// ParseQuery returns the parts of a query. ok is false if the line is not a query.
func ParseQuery(line string) (id, text string, ok bool) {
	rest, ok := strings.CutPrefix(line, string(rune(Query)))
	if !ok || len(rest) < IDSize || strings.Trim(rest[:IDSize], "0123456789abcdef") != "" {
		return "", "", false
	}
	return rest[:IDSize], rest[IDSize:], true
}

// Answer returns the answer to a query, with the line end. It leaves out words that
// would not be words in it.
func Answer(id string, words []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%c%s", Query, id)
	n := 0
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			continue
		}
		if n == MaxWords || b.Len()+len(w) > MaxAnswer-len(MoreWords)-3 {
			w, n = MoreWords, MaxWords
		}
		b.WriteByte(WordSeparator)
		b.WriteString(w)
		if n++; n > MaxWords {
			break
		}
	}
	return b.String() + "\n"
}

// ParseAnswer returns the id and the words of an answer without its line end.
func ParseAnswer(line string) (id string, words []string, ok bool) {
	id, rest, ok := ParseQuery(line)
	if !ok || rest != "" && rest[0] != WordSeparator {
		return "", nil, false
	}
	if rest == "" {
		return id, nil, true
	}
	return id, strings.Split(rest[1:], string(rune(WordSeparator))), true
}
